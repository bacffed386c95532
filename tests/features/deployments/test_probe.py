"""The health check looks like real traffic, and says what an answer means."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from tests.conftest import NO_TLS
from tests.features.deployments.bench import Bench
from tests.open_systems import exchange

from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.exits import explain_exit, is_other_machine
from orca.features.deployments.steps.answers import explain_status, redirect_note
from orca.features.deployments.steps.listening import explain_listeners
from orca.features.deployments.steps.probe import Checker, Visit
from orca.features.services.schemas.settings import FrozenConfig
from orca.sdk.workloads import Listener, Replica

VISIT = Visit("shop.example.org", "https")


@asynccontextmanager
async def picky_site(seen: list[str], *, wanted: str = "shop.example.org") -> AsyncIterator[int]:
    """Answers 200 to its own hostname and 400 to any other, as Django and Rails do."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head.lower())
        status = "200 OK" if f"host: {wanted}\r\n" in head.lower() else "400 Bad Request"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def container(**facts: Any) -> Replica:
    plain = Replica(
        id="a", name="a", image_id="i", labels={}, state="running", address="127.0.0.1", exit_code=None, restarts=0,
        out_of_memory=False, started_at=None,
    )  # fmt: skip
    return replace(plain, **facts)


async def probe(bench: Bench, port: int, visit: Visit | None = VISIT, **health: Any) -> tuple[Any, set[str]]:
    config = FrozenConfig.model_validate(
        {"kind": "web", "ports": [{"name": "http", "port": port, "public": True}], "health": health}
    )
    async with httpx.AsyncClient(verify=NO_TLS) as http:
        checker = Checker(exchange(bench.resources, http=http), config, visit)
        return await checker.probe(container()), checker.notes


async def test_the_site_is_asked_by_its_own_hostname_as_the_proxy_asks(bench: Bench) -> None:
    """Before: by the address of the container, which changes with each deployment and cannot be allowed."""
    seen: list[str] = []
    async with picky_site(seen) as port:
        problem, _ = await probe(bench, port)
        assert problem is None
        for header in ("x-forwarded-proto: https", "x-forwarded-for: 127.0.0.1", "x-forwarded-host: shop.example.org"):
            assert header in seen[-1]
        problem, _ = await probe(bench, port, visit=Visit("other.example.org", "https"))
        assert problem is not None
        assert problem.text.endswith("answered 400 for the host other.example.org")
        assert "ALLOWED_HOSTS" in problem.hint
        assert "health.host" in problem.hint


@asynccontextmanager
async def endless_site(pieces: bytes, *, head: bytes) -> AsyncIterator[tuple[int, list[int]]]:
    """Sends its head, then the same piece without end; counts what it got rid of."""
    sent, at_work = [0], set[asyncio.Task[Any]]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_work.add(cast("asyncio.Task[Any]", asyncio.current_task()))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        try:
            while True:
                writer.write(pieces)
                await writer.drain()
                sent[0] += len(pieces)
                await asyncio.sleep(0 if len(pieces) > 1 else 0.05)
        except ConnectionError:
            return
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], sent
        for task in at_work:
            task.cancel()
        await asyncio.wait(at_work)


async def test_an_endless_answer_is_neither_kept_nor_waited_for(bench: Bench) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    for pieces in (b"x" * 65_536, b"x"):
        begun = time.monotonic()
        async with endless_site(pieces, head=head) as (port, sent):
            assert (await probe(bench, port))[0] is None
            assert time.monotonic() - begun < 4
            assert sent[0] < 20 << 20  # what sockets hold, and not what came in seconds


async def test_a_head_that_drips_in_has_the_same_deadline(bench: Bench) -> None:
    async with endless_site(b"x", head=b"HTTP/1.1 200 OK\r\nX-Slow: ") as (port, _):
        problem, _ = await probe(bench, port, timeout=0.5)
        assert problem is not None
        assert problem.text.endswith("did not answer within 0.5 s")


@asynccontextmanager
async def server_of(says: bytes, *, greeting: bytes) -> AsyncIterator[int]:
    """Answers what begins with the greeting, and hangs up on everything else without a word."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.read(1000)).startswith(greeting):
            writer.write(says)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_process_that_hangs_up_on_every_request_is_not_healthy(bench: Bench) -> None:
    """Before: taken for a service of another protocol, such as a gunicorn whose workers die at each request."""
    async with server_of(b"", greeting=b"") as port:
        problem, _ = await probe(bench, port)
    assert problem is not None
    assert problem.text == f"port {port} closed the connection without an answer"


@pytest.mark.parametrize(
    ("says", "greeting"), [(bytes(3) + b"\x04" + bytes(5), b"PRI * HTTP/2.0"), (b"-ERR unknown command\r\n", b"")]
)
async def test_a_server_of_another_protocol_is_well_when_it_answers(bench: Bench, says: bytes, greeting: bytes) -> None:
    async with server_of(says, greeting=greeting) as port:
        problem, notes = await probe(bench, port)
    assert problem is None
    assert notes == {f"port {port} does not speak HTTP/1.1: only that something answers was checked"}


async def test_the_health_check_of_the_image_counts_unless_one_is_configured(bench: Bench) -> None:
    seen: list[str] = []
    async with picky_site(seen) as port, httpx.AsyncClient(verify=NO_TLS) as http:
        base = {"kind": "web", "ports": [{"name": "http", "port": port, "public": True}]}
        checker = Checker(exchange(bench.resources, http=http), FrozenConfig.model_validate(base), VISIT)
        sick = container(health="unhealthy", health_test=("check",), health_output="no database")
        problem = await checker.probe(sick)
        assert problem is not None
        assert problem.text == "the HEALTHCHECK of the image failed: no database"
        assert await checker.probe(container(health="healthy", health_test=("check",))) is None
        assert not seen or "get /" not in "".join(seen)
        own = Checker(checker.resources, FrozenConfig.model_validate({**base, "health": {"path": "/up"}}), VISIT)
        assert await own.probe(sick) is None


@pytest.mark.parametrize(
    ("code", "words"),
    [(400, "ALLOWED_HOSTS"), (403, "config.hosts"), (421, "allowedHosts"), (401, "sign in"), (404, "health.path"), (500, "fails inside")],
)  # fmt: skip
def test_refusals_are_explained(code: int, words: str) -> None:
    assert words in explain_status("GET / on port 1", code, "a.example.org")[1]


@pytest.mark.parametrize(
    ("asked", "location", "words"),
    [
        ("https://a.example.org/", "/login", ""), ("http://a.example.org/", "https://a.example.org/", ""),
        ("https://a.example.org/", "https://a.example.org/", "for ever"), ("https://a.example.org/", "/", "for ever"),
        ("https://a.example.org/", "https://b.example.org/x", "led there"), ("https://a.example.org/x", "/", ""),
    ],
)  # fmt: skip
def test_redirects_are_told_by_where_they_lead(asked: str, location: str, words: str) -> None:
    notes = redirect_note(asked, location)
    assert bool(notes) is bool(words)
    assert words in "".join(notes)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([Listener(8000, is_loopback=True)], "on 127.0.0.1 alone"),
        ([Listener(3000, is_loopback=False), Listener(9229, is_loopback=True)], "the process does on 3000"),
        ([Listener(3000, is_loopback=True)], "on 3000, but on 127.0.0.1 alone"),
        ([Listener(8000, is_loopback=False)], ""),
    ],
)
def test_where_the_process_listens_instead_is_said(found: list[Listener], words: str) -> None:
    problem = explain_listeners(8000, found)
    assert words in (problem.text if problem else "")
    assert (problem is None) is (not words)


@pytest.mark.parametrize(
    ("code", "text", "hint"),
    [
        (0, "by itself", "must keep running"), (127, "127", "not found"), (126, "126", "chmod"), (137, "137", "killed from outside"),
        (139, "SIGSEGV", "native code"), (143, "143", "asked to end"), (1, "exit code 1", "log"), (None, "", "log"), (255, "255", "log"),
    ],
)  # fmt: skip
def test_exit_codes_are_explained(code: int | None, text: str, hint: str) -> None:
    ending = explain_exit(code)
    assert text in ending.text
    assert hint in ending.hint


@pytest.mark.parametrize(
    ("image", "machine", "other"),
    [("amd64", "x86_64", False), ("arm64", "x86_64", True), ("arm64", "aarch64", False), ("", "x86_64", False)],
)
def test_images_of_another_machine_are_known(image: str, machine: str, other: bool) -> None:
    assert is_other_machine(image, machine) is other


async def test_which_of_several_ports_is_meant_is_asked(bench: Bench) -> None:
    service = await bench.make_service()
    bench.host.add_image("app:9", ports=(80, 9000))
    source = {"type": "image", "image": "app:9"}
    await bench.edit(service, kind="web", ports=[], source=source, health={"type": "none"})
    await bench.resources.tasks.start(bench.resources)
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert (ended.state, ended.code) == ("failed", "several-ports")
    assert ended.reason.endswith("for visitors: 80, 9000")
    assert "ports: [{name: http, port: 80, public: true}]" in ended.hint
    assert [(each["action"], each["port"]) for each in ended.remedies] == [("set-port", 80), ("set-port", 9000)]
    await bench.edit(service, ports=[{"name": "http", "port": 9000, "public": True}])
    chosen = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert chosen.state == "succeeded", chosen.reason
    await bench.edit(service, ports=[])
    again = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert again.state == "succeeded", again.reason
    assert again.config["ports"][0]["port"] == 9000, "what has served so far is taken"
