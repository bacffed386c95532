"""Terminals through their WebSocket, on a real server and containers in memory."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import delete, select, update
from tests.attacks.people import Person, add_person, add_token, browser_of
from tests.features.terminals.conftest import SCREEN, Served, Shell

from orca.db import now
from orca.features.access.models import ApiToken, Membership
from orca.features.identity.models import BrowserSession
from orca.features.terminals.models import OpenTerminal
from orca.features.terminals.operations.open import end_all, end_lost
from orca.features.terminals.rules import MOST_OF_USER
from orca.features.terminals.schemas import WINDOW

KEPT = {**SCREEN, "keep": True}


async def test_open_command_ends_returns_its_code_and_is_recorded_without_what_was_typed(
    served: Served, client: httpx.AsyncClient
) -> None:
    async with served.open() as shell:
        assert (await shell.message("opened"))["replica"] == "web-0"
        await shell.type("my secret\n")
        assert (await shell.message("ack"))["bytes"] == 10
        await shell.see(b"my secret")
        await shell.tell(type="resize", columns=120, rows=40)
        await shell.type("exit 3\n")
        closed = await shell.message("closed")
    assert (closed["reason"], closed["exit_code"]) == ("exited", 3)
    (opened,) = await served.events(client, "TerminalOpened")
    (ended,) = await served.events(client, "TerminalClosed")
    assert opened == {"terminal_id": ended["terminal_id"], "replica": "web-0", "command": "sh"}
    assert (ended["reason"], ended["exit_code"], ended["opened_by"]) == ("exited", 3, "instance token")
    assert "secret" not in str((opened, ended))
    assert not served.host.terminals.open
    async with served.app.state.resources.db.read() as session:
        assert (await session.scalars(select(OpenTerminal))).all() == []


async def test_open_pipes_carry_bytes_to_the_end_of_input(served: Served) -> None:
    content = bytes(range(256)) * 100
    async with served.open({"type": "open", "command": ["cat"]}) as shell:
        await shell.message("opened")
        await shell.socket.send(b"\0" + content)
        await shell.tell(type="end-of-input")
        assert (await shell.message("closed"))["exit_code"] == 0
    assert shell.output == content


async def test_process_that_runs_on_after_its_output_ended_can_be_closed(served: Served) -> None:
    async with served.open() as shell:
        await shell.message("opened")
        (terminal,) = served.host.terminals.open.values()
        (session,) = served.app.state.resources.terminals.values()
        terminal.wait = asyncio.Event().wait
        terminal._output.put_nowait(None)
        for _ in range(3):
            await shell.tell(type="end-of-input")
        async with asyncio.timeout(15):
            while not terminal._output.empty():  # noqa: ASYNC110 - a queue that was read sets no event
                await asyncio.sleep(0.01)
        await shell.tell(type="close")
        assert (await shell.message("closed"))["reason"] == "closed"
    assert session._input.empty()  # that it has ended is said once


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({"type": "resize", "columns": 1, "rows": 1}, "bad-input"),
        ({**SCREEN, "shell": True}, "bad-input"),
        ({**SCREEN, "replica": 7}, "not-found"),
        ({"type": "attach", "terminal": "another"}, "not-found"),
    ],
)
async def test_open_wrong_first_message_is_refused(served: Served, first: dict[str, object], code: str) -> None:
    async with served.open(first) as shell:
        assert (await shell.message("refused"))["code"] == code
        assert await shell.is_closed()


async def test_client_that_does_not_read_is_sent_a_window_and_no_more(served: Served) -> None:
    """The process waits meanwhile: output of any length stays in bounded memory."""
    async with served.open() as shell:
        await shell.message("opened")
        (terminal,) = served.host.terminals.open.values()
        for _ in range(100):
            terminal._output.put_nowait(b"x" * (32 << 10))
        async with asyncio.timeout(15):
            while len(shell.output) < WINDOW:
                received = await shell.socket.recv()
                shell.output += received[1:] if isinstance(received, bytes) else b""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(shell.socket.recv(), 0.5)
        assert terminal._output.qsize() >= 100 - WINDOW // (32 << 10) - 1
        await shell.tell(type="ack", bytes=32 << 10)
        assert len(await asyncio.wait_for(shell.socket.recv(), 5)) == (32 << 10) + 1


async def test_client_that_sends_more_than_was_acknowledged_is_cut(served: Served) -> None:
    async with served.open() as shell:
        await shell.message("opened")
        (terminal,) = served.host.terminals.open.values()

        async def never(_data: bytes) -> None:
            await asyncio.sleep(60)

        terminal.write = never
        for _ in range(WINDOW // 60_000 + 1):
            await shell.socket.send(b"\0" + b"x" * 60_000)
        assert (await shell.message("refused"))["code"] == "bad-input"
        assert await shell.is_closed()
    async with served.open() as shell:
        await shell.message("opened")
        await shell.socket.send(b"\0" + b"x" * (64 << 10))
        assert await shell.is_closed()  # a message of that size is not even read


async def test_attach_after_a_lost_connection_shows_what_was_written(served: Served) -> None:
    async with served.open(KEPT) as shell:
        terminal_id = (await shell.message("opened"))["terminal"]
        await shell.type("before\n")
        await shell.see(b"before")
    async with served.open({"type": "attach", "terminal": terminal_id}) as shell:
        assert (await shell.message("opened"))["terminal"] == terminal_id
        await shell.see(b"before")
        async with served.open({"type": "attach", "terminal": terminal_id}) as other:
            await other.see(b"before")
            assert await shell.message("moved")
            assert await shell.is_closed()
            await other.type("after\n")
            await other.see(b"after")
            await other.tell(type="close")
            assert (await other.message("closed"))["reason"] == "closed"


async def test_attach_another_user_of_the_team_finds_nothing(served: Served) -> None:
    person = await add_person(served.app, "owner")
    token = await add_token(served.app, person, "service.shell")
    async with served.open(KEPT) as shell:
        terminal_id = (await shell.message("opened"))["terminal"]
        async with served.open({"type": "attach", "terminal": terminal_id}, token) as other:
            assert (await other.message("refused"))["code"] == "not-found"


async def test_lost_connection_of_a_terminal_that_is_not_kept_ends_it(
    served: Served, client: httpx.AsyncClient
) -> None:
    async with served.open() as shell:
        await shell.message("opened")
    await _nothing_open(served)
    assert (await served.events(client, "TerminalClosed"))[0]["reason"] == "disconnected"
    assert len(served.connections._open) <= 1  # of the WebSocket nothing is left but a closing one


async def _nothing_open(served: Served) -> None:
    async with asyncio.timeout(10):
        while served.app.state.resources.terminals or served.host.terminals.open:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _member_with_token(served: Served) -> tuple[Person, str]:
    person = await add_person(served.app, "member")
    return person, await add_token(served.app, person, "service.shell")


async def _ends_within_five_seconds(shell: Shell) -> None:
    began = time.monotonic()
    closed = await shell.message("closed")
    assert (closed["reason"], time.monotonic() - began < 5) == ("access-ended", True)
    assert await shell.is_closed()


async def test_terminal_ends_with_the_token(served: Served) -> None:
    _, token = await _member_with_token(served)
    async with served.open(SCREEN, token) as shell:
        await shell.message("opened")
        async with served.app.state.resources.db.write() as session:
            await session.execute(update(ApiToken).values(revoked_at=now()))
        await _ends_within_five_seconds(shell)


async def test_terminal_ends_with_the_membership_also_while_no_socket_shows_it(
    served: Served, client: httpx.AsyncClient
) -> None:
    person, token = await _member_with_token(served)
    async with served.open(KEPT, token) as shell:
        await shell.message("opened")
    async with served.app.state.resources.db.write() as session:
        await session.execute(delete(Membership).where(Membership.user_id == person.id))
    await _nothing_open(served)
    assert (await served.events(client, "TerminalClosed"))[0]["reason"] == "access-ended"


async def test_terminal_ends_with_the_browser_session(served: Served) -> None:
    async with browser_of(served.app) as browser:
        cookie = f"orca_session={browser.cookies['orca_session']}"
        async with served.open(SCREEN, Cookie=cookie, Origin=f"http://localhost:{served.port}") as shell:
            await shell.message("opened")
            async with served.app.state.resources.db.write() as session:
                await session.execute(delete(BrowserSession))
            await _ends_within_five_seconds(shell)


async def test_open_more_than_a_user_may_have_is_refused(served: Served) -> None:
    async with served.open(KEPT) as shell:
        await shell.message("opened")
        (kept,) = served.app.state.resources.terminals.values()
        served.app.state.resources.terminals.update({str(number): kept for number in range(MOST_OF_USER)})
        async with served.open() as other:
            assert (await other.message("refused"))["code"] == "conflict"
        for number in range(MOST_OF_USER):
            del served.app.state.resources.terminals[str(number)]


async def test_open_several_at_once_take_no_more_places_than_there_are(served: Served) -> None:
    terminals = served.app.state.resources.terminals
    async with served.open(KEPT) as shell:
        await shell.message("opened")
        (kept,) = terminals.values()
        terminals.update({str(number): kept for number in range(MOST_OF_USER - 2)})
        async with AsyncExitStack() as stack:
            others = await asyncio.gather(*(stack.enter_async_context(served.open()) for _ in range(5)))
            answers = [json.loads(await other.socket.recv())["type"] for other in others]
        assert sorted(answers) == ["opened", *["refused"] * 4]
        for number in range(MOST_OF_USER - 2):
            del terminals[str(number)]


async def test_server_stops_terminals_end_with_a_reason(served: Served) -> None:
    async with served.open(KEPT) as shell:
        await shell.message("opened")
        await end_all(served.app.state.resources)
        assert (await shell.message("closed"))["reason"] == "server-stopped"


async def test_terminal_of_a_process_that_died_is_ended_and_recorded(served: Served, client: httpx.AsyncClient) -> None:
    resources = served.app.state.resources
    async with served.open(KEPT) as shell:
        await shell.message("opened")
        await end_lost(resources)
        assert len(resources.terminals) == 1  # it is alive
        async with resources.db.write() as session:
            await session.execute(update(OpenTerminal).values(seen_at=now() - timedelta(minutes=2)))
        await end_lost(resources)
    assert (await served.events(client, "TerminalClosed"))[0]["reason"] == "lost"
