"""A visitor cannot open a connection to a service through which requests would bypass the proxy's rules."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from orca.providers.proxies.caddy import CaddyProxy
from orca.sdk.proxies import ProxyConfig, ProxyRoute, Upstream
from orca.sdk.testing.proxy_traffic import Visitor

pytestmark = pytest.mark.slow
SETTINGS = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"


@asynccontextmanager
async def willing_server() -> AsyncIterator[Upstream]:
    """Takes every upgrade that it is asked for, and answers everything else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if "\r\nupgrade:" in head:
            protocol = head.partition("\r\nupgrade:")[2].partition("\r\n")[0].strip()
            writer.write(
                f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n".encode()
            )
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Upstream("127.0.0.1", server.sockets[0].getsockname()[1])


async def ask(visitor: Visitor, head: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", visitor.http_port)
    writer.write(f"GET / HTTP/1.1\r\nHost: a.example.org\r\n{head}\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n{SETTINGS}", 200),
        (f"Connection: Upgrade\r\nUpgrade: H2C\r\n{SETTINGS}", 200),
        ("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", 200),
        ("Connection: Upgrade\r\nUpgrade: websocket,\th2c\r\n", 200),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", 200),
        ("Connection: Upgrade\r\nUpgrade: h2c/1\r\n", 200),
        ("Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n", 200),
        ("Connection: Upgrade\r\nUpgrade: TLS/1.3, HTTP/1.1\r\n", 200),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", 101),
    ],
)
async def test_only_protocols_of_applications_are_tunnelled(
    running: CaddyProxy, visitor: Visitor, head: str, status: int
) -> None:
    async with willing_server() as upstream:
        await running.apply(ProxyConfig(routes=(ProxyRoute("open", "a.example.org", upstreams=(upstream,)),)))
        assert await ask(visitor, head) == status
