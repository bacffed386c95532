"""What stands in front of the proxy, and what speaks HTTP/2 behind it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from cryptography import x509

from orca.providers.connectors.local import LocalConnector
from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy, CaddyProxyProvider
from orca.sdk.proxies import ProxyConfig, ProxyRoute, Upstream
from orca.sdk.testing.proxy_traffic import Visitor
from orca.sdk.testing.upstream import EchoUpstream

pytestmark = pytest.mark.slow

SITE = "a.example.org"
VISITOR = "203.0.113.9"
SAID = {"X-Forwarded-For": VISITOR, "X-Forwarded-Proto": "https", "Cf-Connecting-Ip": VISITOR, "X-Orca-Client": VISITOR}


@asynccontextmanager
async def started(config: CaddyConfig, **changes: object) -> AsyncIterator[CaddyProxy]:
    changed = CaddyConfig.model_validate(config.model_dump() | changes)
    async with CaddyProxyProvider().open(changed, LocalConnector()) as proxy:
        try:
            await proxy.start()
            yield proxy
        finally:
            await proxy.stop()


def headers_of(answer: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.json()["headers"]}


# ── behind another proxy ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trusted", ["127.0.0.0/8", "10.0.0.0/8"])
async def test_a_trusted_proxy_is_believed_and_no_other(config: CaddyConfig, visitor: Visitor, trusted: str):
    """It ended TLS: no redirect loop, with TLS here or without, and the visitor's own address is judged and told."""
    async with EchoUpstream() as upstream, started(config, trusted_proxies=[trusted]) as proxy:
        routes = (
            ProxyRoute("a", SITE, upstreams=(upstream.at,), tls="internal"),
            ProxyRoute("b", "b.example.org", upstreams=(upstream.at,), allow_ips=(f"{VISITOR}/32",)),
        )
        await proxy.apply(ProxyConfig(routes))
        over_tls = await visitor.send("GET", SITE, headers=SAID)
        allowed = await visitor.send("GET", "b.example.org", headers=SAID)
    if trusted.startswith("10."):
        assert (over_tls.status_code, allowed.status_code) == (308, 403)
        return
    assert (over_tls.status_code, allowed.status_code) == (200, 200)
    said = headers_of(over_tls)
    assert (said["x-forwarded-for"], said["x-forwarded-proto"]) == (f"{VISITOR}, 127.0.0.1", "https")
    assert (said["x-real-ip"], said["cf-connecting-ip"]) == (VISITOR, VISITOR)
    assert not [name for name in said if name.startswith("x-orca")]


async def test_of_several_addresses_the_first_is_not_believed(config: CaddyConfig, visitor: Visitor):
    """A visitor wrote it; the trusted proxy added the last one."""
    async with EchoUpstream() as upstream, started(config, trusted_proxies=["127.0.0.1"]) as proxy:
        await proxy.apply(ProxyConfig((ProxyRoute("a", SITE, upstreams=(upstream.at,)),)))
        answer = await visitor.send("GET", SITE, headers={"X-Forwarded-For": f"10.0.0.1, {VISITOR}"})
    assert headers_of(answer)["x-real-ip"] == VISITOR


async def test_the_proxy_protocol_tells_the_visitor(config: CaddyConfig):
    async with (
        EchoUpstream() as upstream,
        started(config, trusted_proxies=["127.0.0.1"], proxy_protocol=True) as proxy,
    ):
        await proxy.apply(ProxyConfig((ProxyRoute("a", SITE, upstreams=(upstream.at,)),)))
        reader, writer = await asyncio.open_connection("127.0.0.1", config.http_port)
        writer.write(f"PROXY TCP4 {VISITOR} 127.0.0.1 5000 80\r\n".encode())
        writer.write(f"GET / HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(10):
            answer = (await reader.read()).decode()
        writer.close()
    assert f'["X-Real-Ip", "{VISITOR}"]' in answer
    assert f'["X-Forwarded-For", "{VISITOR}"]' in answer


# ── certificates for names that are none ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["unknown.example.net", None])
async def test_a_default_certificate_is_shown_if_wanted(config: CaddyConfig, name: str | None):
    """To a health check without a name, say; the page is still that of an unknown site."""
    async with started(config, default_hostname=SITE) as proxy:
        await proxy.apply(ProxyConfig((ProxyRoute("a", SITE, tls="internal"),)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", config.https_port, ssl=context, server_hostname=name or ""
        )
        shown = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        writer.write(b"GET / HTTP/1.1\r\nHost: unknown.example.net\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
    assert names.get_values_for_type(x509.DNSName) == [SITE]
    assert answer.startswith(b"HTTP/1.1 404")


# ── HTTP/2 behind ────────────────────────────────────────────────────────────────────────────────────────────────


class Http2Echo:
    """A server that speaks HTTP/2 without TLS alone, and answers with trailers as gRPC servers do."""

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return Upstream("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        link.initiate_connection()
        while data := await reader.read(65536):
            for event in link.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    kind = dict(event.headers).get("content-type", "none")
                    link.send_headers(event.stream_id, [(":status", "200"), ("content-type", kind)])
                if isinstance(event, h2.events.DataReceived):
                    link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    link.send_data(event.stream_id, event.data)  # before the request has ended
                if isinstance(event, h2.events.StreamEnded):
                    link.send_headers(event.stream_id, [("grpc-status", "7")], end_stream=True)
            writer.write(link.data_to_send())
        writer.close()


async def converse(port: int, root: str, kind: str) -> tuple[list[bytes], dict[str, str]]:
    """Two messages, the second when the first came back; gives what came, and the trailers."""
    context = ssl.create_default_context(cadata=root)
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=SITE)
    link = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    link.initiate_connection()
    names = {":method": "POST", ":scheme": "https", ":authority": SITE, ":path": "/", "te": "trailers"}
    link.send_headers(1, [*names.items(), ("content-type", kind)])
    link.send_data(1, b"one")
    came: list[bytes] = []
    trailers: dict[str, str] = {}
    async with asyncio.timeout(10):
        while not trailers:
            writer.write(link.data_to_send())
            for event in link.receive_data(await reader.read(65536)):
                if isinstance(event, h2.events.DataReceived) and event.data:
                    came.append(event.data)
                    link.send_data(1, b"two" if len(came) == 1 else b"", end_stream=len(came) > 1)
                if isinstance(event, h2.events.TrailersReceived):
                    trailers = dict(event.headers)
    writer.close()
    return came, trailers


async def test_grpc_talks_both_ways_at_once(config: CaddyConfig, running: CaddyProxy, visitor: Visitor):
    """Through port 443, with trailers; and an ordinary request reaches the same service."""
    async with Http2Echo() as upstream:
        await running.apply(
            ProxyConfig((ProxyRoute("a", SITE, upstreams=(upstream,), tls="internal", protocol="h2c"),))
        )
        root = await running.internal_ca()
        assert root is not None
        came, trailers = await converse(config.https_port, root, "application/grpc")
        ordinary = await visitor.get_securely(SITE, root=root)
    assert (came, trailers) == ([b"one", b"two"], {"grpc-status": "7"})
    assert ordinary.status_code == 200
