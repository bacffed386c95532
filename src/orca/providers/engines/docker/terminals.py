"""Interactive processes inside containers: execs whose connection is upgraded to a stream in both directions."""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import httpcore

from orca.errors import RequestRefused
from orca.kit.cancellation import shield_until_done
from orca.providers.engines.docker.connection import SLOW, ApiRequest, DockerConnection
from orca.providers.engines.docker.execs import Execs
from orca.providers.engines.docker.frames import Frame, FrameDecoder
from orca.sdk.engines import EngineUnreachable
from orca.sdk.terminals import Terminal, TerminalRequest, TerminalSize

_CHUNK = 32 << 10
_DOING = "run an interactive command in a container"
_UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


class Terminals:
    """The interactive processes of one engine."""

    def __init__(self, connection: DockerConnection, execs: Execs) -> None:
        self._connection = connection
        self._execs = execs

    async def prepare(self, container_id: str, request: TerminalRequest) -> str:
        """Create an exec with an input."""
        if not request.argv:
            raise RequestRefused("A command needs a program.")
        options: dict[str, Any] = {"AttachStdin": True, "Cmd": list(request.argv)}
        if request.size is not None:
            options |= {"Tty": True, "Env": ["TERM=xterm-256color"]}
        return await self._execs.prepare(container_id, options)

    @asynccontextmanager
    async def open(self, container_id: str, exec_id: str, request: TerminalRequest) -> AsyncIterator[Terminal]:
        """Start the exec; at the end kill its session, as Docker itself leaves it running."""
        has_tty = request.size is not None
        start = ApiRequest("POST", f"exec/{exec_id}/start", body={"Detach": False, "Tty": has_tty}, headers=_UPGRADE)
        try:
            async with self._connection.stream(_DOING, start, answer=SLOW) as response:
                if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
                    raise RequestRefused("Docker does not open a stream for this command.")
                terminal = ExecTerminal(self._connection, self._execs, exec_id, response.extensions["network_stream"])
                if request.size is None:
                    terminal.decoder = FrameDecoder()
                else:
                    await terminal.resize(request.size)
                yield terminal
        finally:
            await shield_until_done(self._execs.kill(exec_id, container_id))

    async def end(self, container_id: str, exec_id: str) -> bool:
        """Kill what is left of an exec."""
        return await self._execs.kill(exec_id, container_id)


class ExecTerminal:
    """The process of one exec. Without a decoder its output is that of a pseudo-terminal."""

    def __init__(
        self, connection: DockerConnection, execs: Execs, exec_id: str, stream: httpcore.AsyncNetworkStream
    ) -> None:
        self._connection = connection
        self._execs = execs
        self._exec_id = exec_id
        self._stream = stream
        self._frames: deque[Frame] = deque()
        self.decoder: FrameDecoder | None = None

    async def read(self) -> Frame | None:
        """Return the next frame."""
        while not self._frames:
            try:
                data = await self._stream.read(_CHUNK)
            except httpcore.NetworkError:
                raise _broken() from None
            if not data:
                return None
            self._frames.extend([("stdout", data)] if self.decoder is None else self.decoder.feed(data))
        return self._frames.popleft()

    async def write(self, data: bytes) -> None:
        """Write to the process, until the kernel has taken all of it."""
        try:
            await self._stream.write(data)
        except httpcore.NetworkError:
            raise _broken() from None

    async def close_input(self) -> None:
        """Close the sending side of the connection, which Docker passes on."""
        if self.decoder is None:
            return
        with suppress(OSError):
            self._stream.get_extra_info("socket").shutdown(socket.SHUT_WR)

    async def resize(self, size: TerminalSize) -> None:
        """Resize the pseudo-terminal. Docker refuses it before the process runs, which takes a moment."""
        params = {"w": str(size.columns), "h": str(size.rows)}
        for pause in (0.05, 0.2, None):
            try:
                await self._connection.post("resize a terminal", f"exec/{self._exec_id}/resize", params=params)
            except RequestRefused:
                if pause is None:
                    return
                await asyncio.sleep(pause)
            else:
                return

    async def wait(self) -> int:
        """Ask for the exit code."""
        return await self._execs.wait(self._exec_id)


def _broken() -> EngineUnreachable:
    return EngineUnreachable("The connection to the container broke.", hint="Docker may be restarting; see its log.")
