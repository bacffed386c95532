"""Deadlines and caps of connections, on a real server with little patience."""

import asyncio
import logging
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

import pytest
import uvicorn

from orca.server.connections import Caps, Connection, Connections, RateLimitedLogFilter, Timeouts, raise_file_limit

pytestmark = pytest.mark.slow
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n"
PATIENCE = Timeouts(head=2, body=2, body_rate=100, reading=3)


async def answer(scope, receive, send) -> None:
    """Echo the length of a body; at /events something every half second; at /flood without end."""
    length, more = 0, scope["method"] == "POST"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    rounds, piece, pause = {"/events": (10, b"tick", 0.5), "/flood": (10_000, b"x" * 65_536, 0)}.get(
        scope["path"], (0, b"", 0)
    )
    for _ in range(rounds):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(pause)
    await send({"type": "http.response.body", "body": str(length).encode()})


class Served:
    """A server on a port of its own, and the connections it has."""

    def __init__(self, caps: Caps, trusted: tuple[str, ...]) -> None:
        self.connections = Connections(caps, patience=PATIENCE, trusted=trusted)
        protocol = partial(Connection, connections=self.connections)
        config = uvicorn.Config(answer, http=protocol, port=0, lifespan="off", log_config=None, ws="none")  # type: ignore[arg-type]
        self.server = uvicorn.Server(config)
        self.running = asyncio.create_task(self.server._serve())
        self.opened: list[asyncio.StreamWriter] = []

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.servers[0].sockets[0].getsockname()[1]

    async def open(self, say: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        self.opened.append(writer)
        writer.write(say)
        return reader, writer

    async def close(self) -> None:
        for writer in self.opened:
            writer.transport.abort()
        self.server.should_exit = True
        await asyncio.wait_for(self.running, 5)
        for writer in self.opened:
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def serve() -> AsyncIterator:
    made: list[Served] = []

    async def start(caps: Caps = Caps(100, 50), trusted: tuple[str, ...] = ()) -> Served:
        made.append(Served(caps, trusted))
        async with asyncio.timeout(10):
            while not made[-1].server.started:  # noqa: ASYNC110 - uvicorn has a flag, not an event
                await asyncio.sleep(0.01)
        return made[-1]

    yield start
    for each in made:
        await each.close()
        assert not each.connections._open, "a connection is counted that is gone"
        assert not each.connections._by_peer


async def rest(reader: asyncio.StreamReader, seconds: float) -> bytes:
    """All until the other side ends it; what is left of a reset connection is nothing."""
    try:
        return await asyncio.wait_for(reader.read(-1), seconds)
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "say", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", GET + b"GET /"], ids=["silent", "half", "second"]
)
async def test_a_head_has_a_deadline(serve, say: bytes) -> None:
    reader, _ = await (await serve()).open(say)
    whole = await rest(reader, 8)
    assert whole.startswith(b"HTTP/1.1 200") is say.startswith(GET)


async def test_a_head_that_trickles_is_not_given_more_time(serve) -> None:
    reader, writer = await (await serve()).open(b"GET / HTTP/1.1\r\n")
    ended = asyncio.create_task(rest(reader, 6))
    for _ in range(8):
        writer.write(b"a: b\r\n")
        await asyncio.sleep(0.5)
    assert ended.done()


async def test_a_body_has_a_deadline_and_a_least_pace(serve) -> None:
    served = await serve()
    for piece in (b"", b"x"):
        reader, writer = await served.open(POST)
        told = asyncio.create_task(rest(reader, 6))
        for _ in range(8):
            writer.write(piece)
            await asyncio.sleep(0.5)
        assert told.done()
        assert told.result().startswith(b"HTTP/1.1 408 ")
        assert b"did not arrive in time" in told.result()


async def test_a_slow_but_steady_body_arrives_whole(serve) -> None:
    reader, writer = await (await serve()).open(POST)
    for _ in range(12):
        writer.write(b"x" * 250)
        await asyncio.sleep(0.5)
    assert (await asyncio.wait_for(reader.readuntil(b"3000"), 2)).startswith(b"HTTP/1.1 200")


async def test_a_connection_is_kept_and_events_outlive_every_deadline(serve) -> None:
    reader, writer = await (await serve()).open(GET)
    await reader.readuntil(b"\r\n0\r\n\r\n")
    await asyncio.sleep(3)
    writer.write(GET.replace(b"/", b"/events", 1))
    events = await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 8)
    assert events.count(b"tick") == 10
    writer.write(GET)
    assert await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 2)


async def test_who_takes_nothing_of_an_answer_is_not_kept(serve) -> None:
    served = await serve()
    reader, _ = await served.open(GET.replace(b"/", b"/flood", 1))
    for _ in range(80):
        await asyncio.sleep(0.1)
        if not served.connections._open:
            break
    assert not served.connections._open
    assert reader


@pytest.mark.parametrize("pace", [80_000, 2_000_000], ids=["slow", "quick"])
async def test_who_takes_an_answer_steadily_is_not_cut_however_slow(serve, pace: int) -> None:
    """Slow: less than makes the system ask us for more within the deadline. Quick: hardly ever is there no more."""
    served, loop = await serve(), asyncio.get_running_loop()
    with socket.create_connection(served.address) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, GET.replace(b"/", b"/flood", 1))
        for _ in range(4 * int(PATIENCE.reading)):
            await asyncio.sleep(0.5)
            left = pace
            while left:
                piece = await asyncio.wait_for(loop.sock_recv(client, left), 2)
                assert piece
                left -= len(piece)
        assert served.connections._open


async def test_one_peer_makes_room_for_itself_and_takes_none_of_others(serve) -> None:
    served = await serve(Caps(total=100, each_peer=4))
    silent = [await served.open() for _ in range(20)]
    reader, _ = await served.open(GET)
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1)).startswith(b"HTTP/1.1 200")
    assert len(served.connections._open) <= 4
    assert all([await rest(reader, 1) == b"" for reader, _ in silent[:16]])


async def test_who_is_being_answered_is_not_dropped_and_the_next_is_told(serve) -> None:
    served = await serve(Caps(total=4, each_peer=4))
    streams = [await served.open(GET.replace(b"/", b"/events", 1)) for _ in range(4)]
    for reader, _ in streams:
        await reader.readuntil(b"tick")
    reader, _ = await served.open()
    refused = await rest(reader, 2)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in refused
    assert [(await asyncio.wait_for(each.readuntil(b"0\r\n\r\n"), 8)).count(b"tick") for each, _ in streams] == [9] * 4


async def test_behind_a_trusted_proxy_are_many(serve) -> None:
    served = await serve(Caps(total=100, each_peer=4), ("127.0.0.0/8",))
    opened = [await served.open() for _ in range(20)]
    reader, _ = await served.open(GET)
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1)).startswith(b"HTTP/1.1 200")
    assert len(served.connections._open) == len(opened) + 1


@pytest.mark.parametrize(("files", "total", "each"), [(1024, 768, 192), (65_536, 2048, 256), (256, 8, 4)])
def test_caps_leave_files_for_the_panel_itself(files: int, total: int, each: int) -> None:
    assert Caps.within(files) == Caps(total, each)


def test_the_limit_of_files_is_raised_and_never_lowered() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, 16_384)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        assert raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_lines_that_strangers_cause_are_said_once_in_a_while() -> None:
    seldom = RateLimitedLogFilter(seconds=0.0)
    quiet = RateLimitedLogFilter()

    def line(text: str) -> logging.LogRecord:
        return logging.LogRecord("asyncio", logging.ERROR, "", 0, text, (), None)

    full = "socket.accept() out of system resource\nsocket: <socket>"
    assert [quiet.filter(line(full)) for _ in range(3)] == [True, False, False]
    assert [quiet.filter(line("Task exception was never retrieved")) for _ in range(2)] == [True, True]
    assert quiet.filter(line("Invalid HTTP request received."))
    assert seldom.filter(line(full))
    quiet._seconds = 0
    again = line(full)
    assert quiet.filter(again)
    assert "2 times more" in again.getMessage()
