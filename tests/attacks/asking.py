"""One request straight into the application, ended after a while: streams never end by themselves."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from fastapi import FastAPI


@dataclass
class Heard:
    """What came back before the asker left."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


async def listen(
    app: FastAPI,
    path: str,
    headers: Mapping[str, str],
    *,
    seconds: float = 0.5,
    may_die_of: tuple[type[Exception], ...] = (),
) -> Heard:
    """GET a path, read for at most so many seconds, then leave."""
    heard, leaving = Heard(), asyncio.Event()

    async def receive() -> dict[str, object]:
        await leaving.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            heard.status = int(str(message["status"]))
            heard.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        heard.body += message.get("body", b"")

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in {"Host": "localhost", **headers}.items()],
        "scheme": "http", "client": ("127.0.0.1", 1), "server": ("localhost", 80), "http_version": "1.1",
        "root_path": "", "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip
    asking = asyncio.ensure_future(app(scope, receive, send))
    await asyncio.wait({asking}, timeout=seconds)
    leaving.set()
    with suppress(*may_die_of):
        await asyncio.wait_for(asking, 10)
    return heard
