"""HTTP to what runs on a system: the connections are opened by its connector."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpcore
import httpx

from orca.errors import ProviderUnavailable
from orca.sdk.connectors import Connector, SupportsConnections

_KEPT_CONNECTIONS = 20


@asynccontextmanager
async def open_http(connector: Connector) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client for plain HTTP to containers of the connector's system."""
    async with httpx.AsyncClient(timeout=10, trust_env=False, transport=_Transport(connector)) as client:
        yield client


class _Transport(httpx.AsyncHTTPTransport):
    """Httpx's own, whose connections are opened elsewhere: it has no public option for that."""

    def __init__(self, connector: Connector) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # empty: root certificates would need three megabytes
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, max_keepalive_connections=_KEPT_CONNECTIONS, keepalive_expiry=5.0,
            network_backend=_Network(connector),
        )  # fmt: skip


class _Network(httpcore.AsyncNetworkBackend):
    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,  # noqa: ASYNC109 - the library's interface
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        """Connect from the system."""
        del local_address, socket_options
        if not isinstance(self._connector, SupportsConnections):
            raise httpcore.ConnectError("the connector of this system opens no connections")
        try:
            async with asyncio.timeout(timeout):
                return _Stream(*await self._connector.open_connection(host, port))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, ProviderUnavailable) as error:
            raise httpcore.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts."""
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as above
        """Return what is there; empty at the end."""
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as above
        """Send it all."""
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close, without waiting for the other side."""
        self._writer.close()

    def get_extra_info(self, info: str) -> Any:
        """Say whether an idle connection has ended, which is all that the pool asks."""
        return self._reader.at_eof() if info == "is_readable" else None
