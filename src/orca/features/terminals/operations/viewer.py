"""One WebSocket that shows a terminal. No more is sent than its client has room for, which it acknowledges."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from orca.features.terminals.actions import End
from orca.features.terminals.rules import EXPLANATIONS
from orca.features.terminals.schemas import CHANNELS, WINDOW
from orca.sdk.terminals import Stream

_GONE = (WebSocketDisconnect, RuntimeError, OSError)
"""What sending raises when the client has left, or was sent the end already."""


class Viewer:
    """Sends output and messages."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._room = WINDOW
        self._changed = asyncio.Event()
        self.lock = asyncio.Lock()
        """Held while something is sent that must not be mixed with other output."""
        self.is_gone = False

    async def show(self, stream: Stream, data: bytes) -> None:
        """Send output as soon as the client has room for it; nothing once it has left."""
        async with self.lock:
            await self.send(stream, data)

    async def send(self, stream: Stream, data: bytes) -> None:
        """Send output; the caller has the lock."""
        while self._room < len(data) and not self.is_gone:
            self._changed.clear()
            await self._changed.wait()
        if self.is_gone:
            return
        self._room -= len(data)
        try:
            await self._socket.send_bytes(bytes((CHANNELS[stream],)) + data)
        except _GONE:
            self.leave()

    async def say(self, kind: str, **facts: Any) -> None:
        """Send a message."""
        if self.is_gone:
            return
        try:
            await self._socket.send_text(json.dumps({"type": kind, **facts}))
        except _GONE:
            self.leave()

    async def close(self, end: End) -> None:
        """Send how the terminal ended, and close the socket."""
        message = end.message or EXPLANATIONS[end.reason]
        await self.say("closed", reason=end.reason, exit_code=end.exit_code, message=message)
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close the socket."""
        if not self.is_gone:
            self.leave()
            with suppress(*_GONE):
                await self._socket.close()

    def acknowledge(self, count: int) -> None:
        """Count bytes that the client has shown."""
        self._room = min(self._room + count, WINDOW)
        self._changed.set()

    def leave(self) -> None:
        """Send nothing any more."""
        self.is_gone = True
        self._changed.set()
