"""Reads server-sent events, and continues after the connection broke."""

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orca.cli.client import Client
from orca.cli.failures import UNREACHABLE, CommandFailed

_LINE_LIMIT = 16 << 20
_SILENCE_SECONDS = 45.0
"""Read timeout: the server sends at least a comment every 15 s."""
GIVE_UP_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `data` is parsed JSON."""

    name: str
    data: Any
    id: str


def read_events(response: http.client.HTTPResponse) -> Iterator[Event]:
    """Yield events until the stream ends. Raises CommandFailed for an invalid one."""
    name, lines, identifier = "message", list[str](), ""
    while raw := response.readline(_LINE_LIMIT):
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            lines.append(value)
        elif key == "id":
            identifier = value
        elif not line and lines:
            yield Event(name, _parse("\n".join(lines)), identifier)
            name, lines = "message", []


def open_stream(
    client: Client, method: str, target: str, *, body: bytes | None = None, last_id: str = ""
) -> Iterator[Event]:
    """Open one connection and return its events."""
    headers = {"Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    if body is not None:
        headers["Content-Type"] = "application/json"
    with client.open(method, target, headers, body, timeout=_SILENCE_SECONDS) as response:
        yield from read_events(response)


def follow(client: Client, target: str, *, patience: float = GIVE_UP_SECONDS) -> Iterator[Event]:
    """Yield events up to `end`, over as many connections as needed; each continues after the last id.

    Raises CommandFailed when the server is unreachable for `patience` seconds, or refuses.
    """
    last_id, pause, lost = "", _FIRST_PAUSE, 0.0
    while True:
        try:
            for event in open_stream(client, "GET", target, last_id=last_id):
                last_id, pause, lost = event.id or last_id, _FIRST_PAUSE, 0.0
                yield event
                if event.name == "end":
                    return
            error = CommandFailed("the server closed the stream before its end", code=UNREACHABLE)
        except CommandFailed as failed:
            error = failed
        if error.code != UNREACHABLE:
            raise error
        lost = lost or time.monotonic()
        if time.monotonic() - lost > patience:
            raise error
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise CommandFailed("the server sent an event that cannot be read") from None
