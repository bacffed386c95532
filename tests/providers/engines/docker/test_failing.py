"""An engine that answers with failures of its own is waited for, unless the container's command is to blame."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.open_systems import OpenSystems
from tests.providers.engines.docker.conftest import SOCKET

from orca.errors import RequestRefused
from orca.features.deployments.steps import retry
from orca.features.deployments.steps.retry import retry_while_unavailable
from orca.kit.fence import NotOwner, fence
from orca.sdk.engines import EngineFailed, EngineUnreachable
from orca.sdk.testing.containers import HostTrial
from orca.sdk.workloads import HostFolder, Privilege
from orca.systems import LOCAL

pytestmark = [pytest.mark.docker, pytest.mark.slow]

BODY = b'{"message": "connection error: desc = transport: error while dialing: containerd.sock: connection refused"}'
FAILURE = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


@dataclass
class Front:
    """Passes calls on to the real engine, or answers 500, or `answer`, to those whose first line holds `fails`."""

    socket: Path
    fails: bytes = b""
    answer: bytes = FAILURE
    passes_on: bool = False
    """The engine still does what was asked for, and its answer is what is lost."""
    refused: list[bytes] = field(default_factory=list)
    open: set["asyncio.Task[Any]"] = field(default_factory=set)
    """What answers a connection. The server does not end these when it is closed."""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        task.add_done_callback(self.open.discard)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line = head.split(b"\r\n")[0]
            if self.fails and self.fails in line:
                self.refused.append(line)
                if self.passes_on:
                    await self._exchange(head, reader, None)
                    await asyncio.sleep(1)  # the command has ended by then
                writer.write(self.answer)
                await writer.drain()
            else:
                await self._exchange(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        theirs, to_them = await asyncio.open_unix_connection(SOCKET)
        to_them.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

        async def send() -> None:
            while chunk := await reader.read(65536):
                to_them.write(chunk)

        sending = asyncio.create_task(send())
        try:
            while chunk := await theirs.read(65536):
                if writer is not None:
                    writer.write(chunk)
        finally:
            sending.cancel()
            to_them.close()
            await to_them.wait_closed()


@pytest.fixture
async def front(scratch: Path) -> AsyncIterator[Front]:
    made = Front(scratch / "front.sock")
    server = await asyncio.start_unix_server(made.take, made.socket)
    yield made
    server.close()
    for task in (left := list(made.open)):
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture
async def fronted(front: Front, open_host, image: str) -> AsyncIterator[HostTrial]:
    trial = HostTrial(await open_host(host=f"unix://{front.socket}"), image)
    yield trial
    front.fails = b""
    await trial.clean()


def work_on(trial: HostTrial, lines: list[str]) -> Any:
    async def write(line: str) -> None:
        lines.append(line)

    resources = SimpleNamespace(systems=OpenSystems(containers=trial.host))
    return SimpleNamespace(resources=resources, log=SimpleNamespace(write=write), system_id=LOCAL)


async def heal(front: Front, seconds: float) -> None:
    await asyncio.sleep(seconds)
    front.fails = b""


@pytest.mark.parametrize("fails", [b" /", b"/start", b"/create"])
async def test_failures_of_the_engine_itself_are_waited_for(front: Front, fronted: HostTrial, fails: bytes) -> None:
    lines: list[str] = []
    await fronted.host.info()
    front.fails = fails
    healing = asyncio.create_task(heal(front, 6))
    spec = fronted.spec("waits")
    await retry_while_unavailable(work_on(fronted, lines), lambda: fronted.make(spec))
    await healing
    assert (await fronted.reach(spec, "running")).exit_code in {0, None}
    assert front.refused
    assert len(lines) <= 3
    assert "This is tried again" in lines[0]


async def test_what_a_healthy_engine_cannot_do_is_said_in_bounded_time(front: Front, fronted: HostTrial) -> None:
    front.fails = b"/start"
    began = time.monotonic()
    with pytest.raises(EngineFailed, match="connection refused"):
        await retry_while_unavailable(work_on(fronted, []), lambda: fronted.make(fronted.spec("never")))
    assert retry.FAILURE_SECONDS <= time.monotonic() - began < retry.AWAY_SECONDS


async def test_folders_in_and_around_the_data_of_an_engine_elsewhere_are_refused_even_with_a_grant(
    front: Front, fronted: HostTrial, scratch: Path
) -> None:
    root = scratch / "docker"
    (root / "volumes").mkdir(parents=True)
    beside = scratch / "docker-films"
    beside.mkdir()
    facts = json.dumps({"DockerRootDir": str(root), "InitCommit": {"ID": "N/A"}}).encode()
    front.fails, front.answer = b"/info", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(facts), facts)

    async def make(folder: Path) -> None:
        folders, grants = (HostFolder(str(folder), "/media"),), (Privilege("host.path", str(folder)),)
        await fronted.make(fronted.spec("web", host_folders=folders, grants=grants))

    for folder in (root, root / "volumes", scratch):
        with pytest.raises(RequestRefused, match="what Docker keeps"):
            await make(folder)
    await make(beside)


async def test_a_command_that_is_not_there_is_said_at_once(front: Front, fronted: HostTrial) -> None:
    """Also by a version of Docker that answers 500, where others answer 400."""
    front.fails, front.passes_on = b"/start", True
    began = time.monotonic()
    with pytest.raises(RequestRefused):
        await retry_while_unavailable(
            work_on(fronted, []), lambda: fronted.make(fronted.spec("no", "/no/such/command", restart="no"))
        )
    assert time.monotonic() - began < retry.FAILURE_SECONDS


async def test_a_lost_containerd_is_an_engine_that_is_away(scratch: Path, open_host) -> None:
    facts = b'{"DockerRootDir": "/", "NCPU": 1, "MemTotal": 1, "ContainerdCommit": {"ID": "N/A"}}'
    version = b'{"Version": "20", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = version if b"version" in head.split(b"\r\n")[0] else facts
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    server = await asyncio.start_unix_server(answer, scratch / "lost.sock")
    host = await open_host(host=f"unix://{scratch}/lost.sock")
    with pytest.raises(EngineUnreachable, match="containerd"):
        await host.info()
    server.close()


async def test_a_process_that_lost_its_work_only_looks(trial: HostTrial) -> None:
    spec = trial.spec("kept")
    (made,) = await trial.make(spec)

    async def lost(_transaction: object) -> None:
        raise NotOwner

    token = fence.set(lost)
    try:
        for effect in (
            lambda: trial.host.stop(made.id, grace=0), lambda: trial.host.remove(made.id),
            lambda: trial.make(trial.spec("another")),
        ):  # fmt: skip
            with pytest.raises(NotOwner):
                await effect()
        assert [(each.id, each.state) for each in await trial.inspect()] == [(made.id, "running")]
    finally:
        fence.reset(token)
