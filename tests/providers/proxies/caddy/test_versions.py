"""HTTP/1.1, HTTP/2, HTTP/3, zstd and real WebSocket frames through the real thing."""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
import websockets
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy
from orca.sdk.proxies import ProxyConfig, ProxyRoute, Upstream
from orca.sdk.testing.proxy_traffic import Visitor
from orca.sdk.testing.upstream import LONG_TEXT, EchoUpstream

pytestmark = pytest.mark.slow

SITE = "a.example.org"


@pytest.fixture
async def root(running: CaddyProxy, data_dir: Path):
    """A site on the internal CA with a service behind it; gives the CA's root as a file."""
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", SITE, upstreams=(upstream.at,), tls="internal"),)))
        file = data_dir / "root.pem"
        file.write_text(await running.internal_ca() or "")
        yield file


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
async def test_http_1_and_2(config: CaddyConfig, root: Path, version: str):
    context = ssl.create_default_context(cafile=str(root))
    is_new = version == "HTTP/2"
    async with httpx.AsyncClient(verify=context, http1=not is_new, http2=is_new, timeout=20) as http:
        url = f"https://127.0.0.1:{config.https_port}/"
        answer = await http.get(url, headers={"Host": SITE}, extensions={"sni_hostname": SITE})
    assert (answer.status_code, answer.http_version) == (200, version)
    assert f'h3=":{config.https_port}"' in answer.headers["alt-svc"]
    assert not {"server", "via"} & set(answer.headers)


async def test_http_3_is_offered_where_it_is(running: CaddyProxy, visitor: Visitor):
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", SITE, upstreams=(upstream.at,)),)))
        assert "alt-svc" not in (await visitor.get(SITE)).headers


class _Http3(QuicConnectionProtocol):
    """As much of an HTTP/3 client as one GET needs."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic)
        self._ended = asyncio.get_running_loop().create_future()
        self._answer: dict[bytes, bytes] = {}

    async def get(self, hostname: str) -> dict[bytes, bytes]:
        stream = self._quic.get_next_available_stream_id()
        names = {b":method": b"GET", b":scheme": b"https", b":authority": hostname.encode(), b":path": b"/"}
        self._http.send_headers(stream, list(names.items()), end_stream=True)
        self.transmit()
        async with asyncio.timeout(10):
            await self._ended
        return self._answer

    def quic_event_received(self, event: QuicEvent) -> None:
        for found in self._http.handle_event(event):
            if isinstance(found, HeadersReceived):
                self._answer |= dict(found.headers)
            if isinstance(found, HeadersReceived | DataReceived) and found.stream_ended and not self._ended.done():
                self._ended.set_result(None)


async def test_http_3(config: CaddyConfig, root: Path):
    quic = QuicConfiguration(alpn_protocols=H3_ALPN, server_name=SITE)
    quic.load_verify_locations(str(root))
    async with connect("127.0.0.1", config.https_port, configuration=quic, create_protocol=_Http3) as client:
        answer = await client.get(SITE)
    assert answer[b":status"] == b"200"


async def test_zstd_is_preferred(running: CaddyProxy, visitor: Visitor):
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", SITE, upstreams=(upstream.at,)),)))
        answer = await visitor.send("GET", SITE, "/large", headers={"Accept-Encoding": "gzip, zstd"})
    assert answer.headers["content-encoding"] == "zstd"
    assert len(answer.content) < len(LONG_TEXT) / 10


async def test_the_place_where_authorities_look_is_a_path_like_any_other(running: CaddyProxy, visitor: Visitor):
    """As long as no challenge waits there: Orca's own preflight answers beneath it."""
    path = "/.well-known/acme-challenge/orca-1"
    marker = ProxyRoute("m", SITE, path_prefix=path, redirect_to="https://orca.invalid/token", redirect_status=307)
    await running.apply(ProxyConfig((marker, ProxyRoute("a", SITE))))
    assert (await visitor.get(SITE, path)).headers["location"].startswith("https://orca.invalid/token")
    assert (await visitor.get(SITE, "/.well-known/acme-challenge/other")).status_code == 503


async def test_frames_of_a_websocket_survive_ten_reloads(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """With a real client and a real server, over TLS's plain sibling."""

    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0) as server, EchoUpstream() as other:
        port = server.sockets[0].getsockname()[1]
        site = ProxyRoute("a", SITE, upstreams=(Upstream("127.0.0.1", port),))
        await running.apply(ProxyConfig((site,)))
        url = f"ws://{SITE}:{config.http_port}/"
        async with websockets.connect(url, host="127.0.0.1", port=config.http_port, proxy=None) as client:
            for number in range(10):
                another = ProxyRoute("b", f"b{number}.example.org", upstreams=(other.at,))
                await running.apply(ProxyConfig((site, another)))
                assert (await visitor.get(f"b{number}.example.org")).status_code == 200
                await client.send(f"message {number}")
                async with asyncio.timeout(5):
                    assert await client.recv() == f"message {number}"
