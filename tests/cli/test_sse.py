"""Streams over connections that break."""

import io
import json
import time

import pytest
from tests.cli.conftest import Stub, StubHandler

from orca.cli.client import Client, Server
from orca.cli.failures import REFUSED, UNREACHABLE, CommandFailed
from orca.cli.sse import Event, follow, read_events

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('event: log\ndata: {"a": 1}\n\n', [Event("log", {"a": 1}, "")]),
        ("id: 7\nevent: log\ndata: 1\n\n: still here\n\ndata: 2\n\n", [Event("log", 1, "7"), Event("message", 2, "7")]),
        ('event: log\r\ndata: "x"\r\n\r\n', [Event("log", "x", "")]),
        ('data: {"a":\ndata: 1}\n\n', [Event("message", {"a": 1}, "")]),
        ("event: log\n\n: nothing\n\n", []),
        ("data: 1\n", []),
        ("", []),
    ],
)
def test_events_as_the_standard_writes_them(raw: str, expected: list[Event]) -> None:
    assert list(read_events(io.BytesIO(raw.encode()))) == expected  # type: ignore[arg-type]


def test_event_that_is_no_json() -> None:
    with pytest.raises(CommandFailed, match="cannot be read"):
        list(read_events(io.BytesIO(b"data: {broken\n\n")))  # type: ignore[arg-type]


def test_a_broken_stream_goes_on_behind_the_last_event(stub: Stub) -> None:
    """Each connection gives three lines and breaks, until ten are through."""

    def answer(handler: StubHandler) -> None:
        first = int(handler.headers.get("Last-Event-ID") or 0)
        handler.begin_stream()
        for number in range(first + 1, min(first + 3, 10) + 1):
            handler.event("log", number, str(number))
        if first + 3 >= 10:
            handler.event("end", {"state": "succeeded"})

    stub.on("GET /api/v1/log", answer)
    found = list(follow(Client(Server(stub.url)), "/log"))
    assert [event.data for event in found] == [*range(1, 11), {"state": "succeeded"}]
    assert [asked.headers.get("Last-Event-ID") for asked in stub.asked] == [None, "3", "6", "9"]


def test_it_survives_a_server_that_restarts(stub: Stub) -> None:
    def answer(handler: StubHandler) -> None:
        if len(stub.asked) in {2, 3}:
            handler.send(503, "text/plain", b"starting")
            return
        handler.begin_stream()
        handler.event("log" if len(stub.asked) == 1 else "end", len(stub.asked), "1")

    stub.on("GET /api/v1/log", answer)
    assert [event.data for event in follow(Client(Server(stub.url)), "/log")] == [1, 4]


def test_it_gives_up_after_a_while(stub: Stub) -> None:
    stub.on("GET /api/v1/log", lambda handler: handler.begin_stream())
    started = time.monotonic()
    with pytest.raises(CommandFailed) as refused:
        list(follow(Client(Server(stub.url)), "/log", patience=1.0))
    assert refused.value.code == UNREACHABLE
    assert 1 <= time.monotonic() - started < 10


def test_a_refusal_is_final(stub: Stub) -> None:
    problem = json.dumps({"code": "conflict", "detail": "no"}).encode()
    stub.on("GET /api/v1/log", lambda handler: handler.send(409, "application/problem+json", problem))
    with pytest.raises(CommandFailed) as refused:
        list(follow(Client(Server(stub.url)), "/log"))
    assert refused.value.code == REFUSED
    assert len(stub.asked) == 1
