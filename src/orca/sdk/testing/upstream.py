# ruff: noqa: S101 - assertions are what a test suite is made of
"""A small web server behind a proxy under test: it returns the request as JSON, and misbehaves on request."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

from orca.sdk.proxies import Upstream

LONG_TEXT = "All work and no play makes a long answer. " * 200
_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class EchoUpstream:
    """An HTTP/1.1 server on a free loopback port.

    `/sse` sends one event and then keeps the connection open, `/ws` upgrades and echoes bytes, `/slow` never
    answers, `/large` sends text worth compressing; anything else is answered with what was asked, as JSON.
    """

    def __init__(self, name: str = "upstream", port: int = 0) -> None:
        self.name = name
        self.requests = 0
        self._port = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in [*self._open]:
            writer.close()
        async with asyncio.timeout(5):
            await self._server.wait_closed()
            for writer in [*self._open]:
                with suppress(ConnectionError):
                    await writer.wait_closed()

    @property
    def at(self) -> Upstream:
        """Where it listens."""
        return Upstream("127.0.0.1", self._port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = [line.split(": ", 1) for line in head[1:] if line]
        self.requests += 1
        body = await _read_body(reader, {name.lower(): value for name, value in headers})
        match target.partition("?")[0]:
            case "/ws":
                return await _echo(reader, writer, dict(headers))
            case "/sse":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n")
                await reader.read()
                return False
            case "/slow":
                await reader.read()
                return False
            case "/large":
                _write(writer, "text/plain", LONG_TEXT.encode())
            case _:
                said = {"name": self.name, "method": method, "target": target, "headers": headers, "body": len(body)}
                _write(writer, "application/json", json.dumps(said).encode())
        await writer.drain()
        return True


@asynccontextmanager
async def echo_upstreams(*names: str) -> AsyncIterator[list[EchoUpstream]]:
    """Several of them."""
    servers = [EchoUpstream(name) for name in names]
    for server in servers:
        await server.__aenter__()
    try:
        yield servers
    finally:
        for server in servers:
            await server.__aexit__(None, None, None)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return body
    return await reader.readexactly(int(headers.get("content-length", "0")))


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]) -> bool:
    key = headers["Sec-Websocket-Key"] if "Sec-Websocket-Key" in headers else headers["Sec-WebSocket-Key"]
    accept = base64.b64encode(hashlib.sha1((key + _WEBSOCKET_GUID).encode()).digest()).decode()  # noqa: S324 - RFC 6455
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    return False


def _write(writer: asyncio.StreamWriter, content_type: str, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nServer: Echo\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
