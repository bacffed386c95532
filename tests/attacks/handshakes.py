"""Asks for WebSockets without a server: what the application answers to a handshake."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

ACCEPTED = 101
CLOSED = 0
"""Closed before it was accepted, without an answer of its own: a server makes 403 of it."""


async def shake_hands(app: FastAPI, path: str, headers: Mapping[str, str], query: str = "") -> int:
    """The status of the answer; an accepted socket is left at once."""
    given = {"host": "localhost", **{name.lower(): value for name, value in headers.items()}}
    scope: dict[str, Any] = {
        "type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "scheme": "ws",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()], "subprotocols": [],
        "client": ("127.0.0.1", 50000), "server": ("localhost", 80), "state": {},
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip
    incoming = iter([{"type": "websocket.connect"}])
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return next(incoming, {"type": "websocket.disconnect", "code": 1001})

    async def send(message: Mapping[str, Any]) -> None:
        answers = {"websocket.accept": ACCEPTED, "websocket.close": CLOSED}
        if message["type"] == "websocket.http.response.start":
            statuses.append(message["status"])
        elif message["type"] in answers:
            statuses.append(answers[message["type"]])

    await app(scope, receive, send)
    return statuses[0]
