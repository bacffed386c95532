"""A real Caddy for every test: as a process of its own on free loopback ports, in a folder of its own."""

import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orca.providers.connectors.local import LocalConnector
from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy, CaddyProxyProvider
from orca.sdk.testing.proxy_traffic import Visitor


def free_port() -> int:
    """Free for TCP and for UDP, which HTTP/3 needs."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(port)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Short enough for a unix socket, which pytest's own folders need not be."""
    with tempfile.TemporaryDirectory(prefix="orca-caddy-") as folder:
        yield Path(folder)


@pytest.fixture
def connector() -> LocalConnector:
    return LocalConnector()


@pytest.fixture
def config(data_dir: Path) -> CaddyConfig:
    return CaddyConfig(
        data_dir=data_dir,
        instance="test",
        mode="process",
        http_port=free_port(),
        https_port=free_port(),
        bind=("127.0.0.1",),
    )


@pytest.fixture
async def proxy(config: CaddyConfig, connector: LocalConnector) -> AsyncIterator[CaddyProxy]:
    """Not started yet."""
    async with CaddyProxyProvider().open(config, connector) as opened:
        try:
            yield opened
        finally:
            await opened.stop()


@pytest.fixture
async def running(proxy: CaddyProxy) -> CaddyProxy:
    await proxy.start()
    return proxy


@pytest.fixture
def visitor(config: CaddyConfig) -> Visitor:
    return Visitor(config.http_port, config.https_port)
