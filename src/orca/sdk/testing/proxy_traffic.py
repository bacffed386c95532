# ruff: noqa: S101, PLR2004 - assertions are what a test suite is made of, and status codes speak for themselves
"""The conformance suite for what visitors see through a proxy, over real sockets.

A provider's author writes::

    class TestMyProxyTraffic(ProxyTrafficConformance):
        @pytest.fixture
        async def running(self): ...       # a started proxy on 127.0.0.1

        @pytest.fixture
        def visitor(self): return Visitor(http_port, https_port)
"""

import asyncio
import base64
import gzip
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest

from orca.sdk.proxies import BasicAuthUser, Hsts, Proxy, ProxyCertificate, ProxyConfig, ProxyRoute
from orca.sdk.testing.certificates import make_certificate
from orca.sdk.testing.upstream import LONG_TEXT, EchoUpstream, echo_upstreams

SECRET_HASH = "$2b$04$8vtDpFJuRKMqbehgLl4kT.vRAIL81geFOljlwXebVYcadXqDKocF2"  # noqa: S105 - of "open sesame"
_DEADLINE = 20.0

SPOOFED = {
    "X-Remote-User": "admin",
    "X_Remote_User": "admin",
    "Remote-User": "admin",
    "Remote_User": "admin",
    "X-Forwarded-User": "admin",
    "X_Forwarded_User": "admin",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example.org",
    "X-Real-Ip": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
    "Cf-Connecting-Ip": "203.0.113.9",
    "True-Client-Ip": "203.0.113.9",
}
"""Headers that only the proxy may set."""


class Visitor:
    """A client of a proxy on 127.0.0.1, for any hostname, without DNS and without following redirects."""

    def __init__(self, http_port: int, https_port: int) -> None:
        self.http_port = http_port
        self.https_port = https_port

    async def get(self, hostname: str, path: str = "/", **headers: str) -> httpx.Response:
        """GET over plain HTTP; underscores in the names of `headers` become hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("GET", hostname, path, headers=named)

    async def send(
        self, method: str, hostname: str, path: str = "/", *, headers: Mapping[str, str] = {}, content: bytes = b""
    ) -> httpx.Response:
        """Any request over plain HTTP."""
        async with httpx.AsyncClient(timeout=_DEADLINE, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as http:
            url = f"http://127.0.0.1:{self.http_port}{path}"
            return await http.request(method, url, headers={"Host": hostname, **headers}, content=content)

    async def get_securely(self, hostname: str, path: str = "/", *, root: str) -> httpx.Response:
        """GET over HTTPS; certificate and hostname are verified against `root` (PEM)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=root)
        async with httpx.AsyncClient(timeout=_DEADLINE, verify=context) as http:
            url = f"https://127.0.0.1:{self.https_port}{path}"
            return await http.get(url, headers={"Host": hostname}, extensions={"sni_hostname": hostname})

    @asynccontextmanager
    async def websocket(self, hostname: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """An upgraded connection to `/ws`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http_port)
        key = base64.b64encode(b"0123456789abcdef").decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: {hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        try:
            async with asyncio.timeout(_DEADLINE):
                head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101"), head
            yield reader, writer
        finally:
            writer.close()


class ProxyTrafficConformance:
    """Subclass it and define the fixtures `running` and `visitor`."""

    @pytest.fixture
    async def upstream(self) -> AsyncIterator[EchoUpstream]:
        """One web server behind the proxy."""
        async with EchoUpstream() as server:
            yield server

    async def test_a_hostname_reaches_its_service(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """Method, path, query and body arrive; the Host header may have a port, and a dot at the end of the name."""
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        answer = await visitor.send("POST", f"a.example.org:{visitor.http_port}", "/x/y?q=%2F", content=b"hello")
        said = answer.json()
        assert (answer.status_code, said["method"], said["target"], said["body"]) == (200, "POST", "/x/y?q=%2F", 5)
        assert "server" not in answer.headers
        for name in ("a.example.org.", f"a.example.org.:{visitor.http_port}"):
            assert (await visitor.get(name)).status_code == 200

    async def test_unknown_hostnames_get_a_page_of_our_own(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """No other site is shown by default."""
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        answer = await visitor.get("b.example.org")
        assert (answer.status_code, upstream.requests) == (404, 0)
        assert "Nothing lives here" in answer.text

    async def test_the_longest_prefix_and_the_exact_host_win(self, running: Proxy, visitor: Visitor) -> None:
        """Whatever the order in which routes are given; a prefix ends at a slash."""
        async with echo_upstreams("root", "api", "deep", "wild") as (root, api, deep, wild):
            routes = (
                ProxyRoute("wild", "*.example.org", upstreams=(wild.at,)),
                ProxyRoute("root", "a.example.org", upstreams=(root.at,)),
                ProxyRoute("api", "a.example.org", path_prefix="/api", upstreams=(api.at,), strip_prefix=True),
                ProxyRoute("deep", "a.example.org", path_prefix="/api/deep", upstreams=(deep.at,)),
            )
            await running.apply(ProxyConfig(routes))
            seen = {
                f"{host}{path}": [(said := (await visitor.get(host, path)).json())["name"], said["target"]]
                for host, path in [
                    ("a.example.org", "/"),
                    ("a.example.org", "/apish"),
                    ("a.example.org", "/api"),
                    ("a.example.org", "/api/v1?x=1"),
                    ("a.example.org", "/api/deep/er"),
                    ("b.example.org", "/api"),
                ]
            }
        assert seen == {
            "a.example.org/": ["root", "/"],
            "a.example.org/apish": ["root", "/apish"],
            "a.example.org/api": ["api", "/"],
            "a.example.org/api/v1?x=1": ["api", "/v1?x=1"],
            "a.example.org/api/deep/er": ["deep", "/api/deep/er"],
            "b.example.org/api": ["wild", "/api"],
        }

    async def test_a_prefix_alone_serves_nothing_else(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """And a wildcard covers one label."""
        routes = (
            ProxyRoute("a", "a.example.org", path_prefix="/api", upstreams=(upstream.at,)),
            ProxyRoute("wild", "*.example.org", upstreams=(upstream.at,)),
        )
        await running.apply(ProxyConfig(routes))
        assert (await visitor.get("a.example.org", "/other")).status_code == 404
        assert (await visitor.get("x.y.example.org")).status_code == 404

    async def test_redirects_keep_path_and_query(self, running: Proxy, visitor: Visitor) -> None:
        """`www` to the bare name, say."""
        to = "https://example.org/base"
        routes = (
            ProxyRoute("www", "www.example.org", redirect_to="https://example.org"),
            ProxyRoute("old", "old.example.org", redirect_to=to, redirect_status=302),
        )
        await running.apply(ProxyConfig(routes))
        www, old = await visitor.get("www.example.org", "/a?b=c"), await visitor.get("old.example.org", "/a?b=c")
        assert (www.status_code, www.headers["location"]) == (308, "https://example.org/a?b=c")
        assert (old.status_code, old.headers["location"]) == (302, f"{to}/a?b=c")

    async def test_replicas_share_the_load(self, running: Proxy, visitor: Visitor) -> None:
        """And one that is gone costs no request."""
        async with echo_upstreams("one", "two") as (one, two):
            await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(one.at, two.at)),)))
            seen = [(await visitor.get("a.example.org")).json()["name"] for _ in range(40)]
            assert set(seen) == {"one", "two"}
            await two.__aexit__(None, None, None)
            answers = [await visitor.get("a.example.org") for _ in range(20)]
            assert {answer.json()["name"] for answer in answers} == {"one"}
            await two.__aenter__()

    async def test_visitors_cannot_say_who_they_are(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """Identity and origin headers are the proxy's, in every spelling."""
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        hop_by_hop = {"Connection": "close, X-Forwarded-For, X-Real-Ip"}
        for headers in (SPOOFED, {name.lower(): value for name, value in SPOOFED.items()}, {**SPOOFED, **hop_by_hop}):
            said = (await visitor.send("GET", "a.example.org", headers=headers)).json()["headers"]
            names = {name.lower().replace("_", "-") for name, _ in said}
            assert not names & {"x-remote-user", "remote-user", "x-forwarded-user", "forwarded"}
            values = {name.lower(): value for name, value in said}
            assert values["x-forwarded-for"] == values["x-real-ip"] == "127.0.0.1"
            assert (values["x-forwarded-proto"], values["x-forwarded-host"]) == ("http", "a.example.org")

    async def test_a_service_that_is_down_has_a_page(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """With its name, and nothing in that name is code. It is back without further ado."""
        title = "<b>Shop</b> {http.request.host} {env.HOME}"
        down = ProxyRoute("a", "a.example.org", title=title)
        await running.apply(ProxyConfig((down,)))
        answer = await visitor.get("a.example.org")
        assert answer.status_code == 503
        assert "&lt;b&gt;Shop&lt;/b&gt; &#123;http.request.host&#125; &#123;env.HOME&#125; is down" in answer.text
        assert "retry-after" in answer.headers
        assert "<script" not in answer.text
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", title=title, upstreams=(upstream.at,)),)))
        assert (await visitor.get("a.example.org")).status_code == 200

    async def test_a_dead_upstream_has_a_page_and_harms_no_other(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """The others answer meanwhile."""
        async with EchoUpstream() as dead:
            gone = dead.at
        routes = (
            ProxyRoute("dead", "dead.example.org", upstreams=(gone,), title="Dead"),
            ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),
        )
        await running.apply(ProxyConfig(routes))
        waiting = asyncio.create_task(visitor.get("dead.example.org"))
        assert (await visitor.get("a.example.org")).status_code == 200
        answer = await waiting
        assert answer.status_code in {502, 503, 504}
        assert "Dead is not answering" in answer.text

    async def test_maintenance_sends_nothing_upstream(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """503 with Retry-After, for everybody."""
        route = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), maintenance=True, title="Shop")
        await running.apply(ProxyConfig((route,)))
        answer = await visitor.get("a.example.org")
        assert (answer.status_code, upstream.requests) == (503, 0)
        assert "Shop is under maintenance" in answer.text
        assert int(answer.headers["retry-after"]) > 0

    async def test_a_password_is_asked_for(self, running: Proxy, visitor: Visitor, upstream: EchoUpstream) -> None:
        """Before anything reaches the service."""
        users = (BasicAuthUser("ali", SECRET_HASH),)
        route = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), basic_auth=users)
        await running.apply(ProxyConfig((route,)))

        async def status(credentials: str) -> int:
            encoded = base64.b64encode(credentials.encode()).decode()
            return (await visitor.get("a.example.org", authorization=f"Basic {encoded}")).status_code

        first = await visitor.get("a.example.org")
        assert first.status_code == 401
        assert first.headers["www-authenticate"].startswith("Basic ")
        assert [await status("ali:wrong"), await status("eve:open sesame"), upstream.requests] == [401, 401, 0]
        assert await status("ali:open sesame") == 200

    async def test_an_allow_list_is_judged_by_the_socket(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """A header cannot open it."""

        def route(*allowed: str) -> ProxyConfig:
            return ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), allow_ips=allowed),))

        await running.apply(route("192.0.2.0/24", "2001:db8::/32"))
        assert (await visitor.get("a.example.org", x_forwarded_for="192.0.2.1")).status_code == 403
        assert upstream.requests == 0
        await running.apply(route("192.0.2.0/24", "127.0.0.0/8"))
        assert (await visitor.get("a.example.org")).status_code == 200

    async def test_large_bodies_are_refused(self, running: Proxy, visitor: Visitor, upstream: EchoUpstream) -> None:
        """With 413, whether the length was announced or not."""
        route = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), max_body_bytes=1000)
        await running.apply(ProxyConfig((route,)))
        assert (await visitor.send("POST", "a.example.org", content=b"x" * 1000)).json()["body"] == 1000
        assert (await visitor.send("POST", "a.example.org", content=b"x" * 1001)).status_code == 413
        chunked = {"Transfer-Encoding": "chunked"}
        answer = await visitor.send("POST", "a.example.org", headers=chunked, content=b"x" * 100_000)
        assert answer.status_code == 413

    async def test_a_slow_service_is_not_waited_for(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """One try, 504, and a page."""
        route = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), timeout=0.5, title="Shop")
        await running.apply(ProxyConfig((route,)))
        answer = await visitor.get("a.example.org", "/slow")
        assert (answer.status_code, upstream.requests) == (504, 1)
        assert "Shop is not answering" in answer.text

    async def test_text_is_compressed_if_wanted(self, running: Proxy, visitor: Visitor, upstream: EchoUpstream) -> None:
        """By the visitor and by the route."""
        on = ProxyRoute("on", "on.example.org", upstreams=(upstream.at,))
        off = ProxyRoute("off", "off.example.org", upstreams=(upstream.at,), compress=False)
        await running.apply(ProxyConfig((on, off)))
        small = await visitor.get("on.example.org", "/large", accept_encoding="gzip")
        assert (small.headers["content-encoding"], small.text) == ("gzip", LONG_TEXT)
        assert len(gzip.compress(LONG_TEXT.encode())) < len(LONG_TEXT)
        for host, accepted in (("on.example.org", "identity"), ("off.example.org", "gzip")):
            answer = await visitor.get(host, "/large", accept_encoding=accepted)
            assert "content-encoding" not in answer.headers

    async def test_events_arrive_at_once(self, running: Proxy, visitor: Visitor, upstream: EchoUpstream) -> None:
        """A stream of events is not buffered, not even compressed into a buffer."""
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        reader, writer = await asyncio.open_connection("127.0.0.1", visitor.http_port)
        writer.write(b"GET /sse HTTP/1.1\r\nHost: a.example.org\r\nAccept-Encoding: gzip\r\n\r\n")
        async with asyncio.timeout(5):
            assert b"data: one\n\n" in await reader.readuntil(b"one\n\n")
        writer.close()

    async def test_long_connections_survive_changes_of_other_routes(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """A WebSocket and a stream of events through ten changes."""
        site = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,))
        await running.apply(ProxyConfig((site,)))
        stream, sender = await asyncio.open_connection("127.0.0.1", visitor.http_port)
        sender.write(b"GET /sse HTTP/1.1\r\nHost: a.example.org\r\n\r\n")
        async with visitor.websocket("a.example.org") as (reader, writer):
            for number in range(10):
                other = ProxyRoute(f"b{number}", f"b{number}.example.org", upstreams=(upstream.at,))
                await running.apply(ProxyConfig((site, other)))
                writer.write(b"ping%d" % number)
                async with asyncio.timeout(5):
                    assert await reader.readexactly(5) == b"ping%d" % number
        async with asyncio.timeout(5):
            assert b"data: one" in await stream.readuntil(b"one\n\n")
        assert not stream.at_eof()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await stream.read()
        sender.close()

    async def test_the_internal_ca_is_trustworthy(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """HTTPS is verified by its root; plain HTTP leads there; another name is refused the handshake."""
        route = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), tls="internal")
        await running.apply(ProxyConfig((route,)))
        root = await running.internal_ca()
        assert root is not None
        answer = await visitor.get_securely("a.example.org", "/x", root=root)
        values = {name.lower(): value for name, value in answer.json()["headers"]}
        assert (answer.status_code, values["x-forwarded-proto"]) == (200, "https")
        plain = await visitor.get("a.example.org", "/x?y=z")
        assert plain.status_code in {301, 308}
        assert plain.headers["location"] == f"https://a.example.org:{visitor.https_port}/x?y=z"
        with pytest.raises(httpx.ConnectError):
            await visitor.get_securely("b.example.org", root=root)

    async def test_https_without_a_redirect(self, running: Proxy, visitor: Visitor, upstream: EchoUpstream) -> None:
        """Both answer, if that is wanted."""
        route = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), tls="internal", https_redirect=False)
        await running.apply(ProxyConfig((route,)))
        assert (await visitor.get("a.example.org")).status_code == 200
        root = await running.internal_ca()
        assert root is not None
        assert (await visitor.get_securely("a.example.org", root=root)).status_code == 200

    async def test_browsers_are_told_to_stay_with_https(
        self, running: Proxy, visitor: Visitor, upstream: EchoUpstream
    ) -> None:
        """Over HTTPS, where it means something."""
        hsts = Hsts(31_536_000, include_subdomains=True, preload=True)
        shared = {"upstreams": (upstream.at,), "tls": "internal", "https_redirect": False}
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", hsts=hsts, **shared),)))  # type: ignore[arg-type]
        root = await running.internal_ca()
        assert root is not None
        secure, plain = await visitor.get_securely("a.example.org", root=root), await visitor.get("a.example.org")
        assert secure.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains; preload"
        assert "strict-transport-security" not in plain.headers

    async def test_a_certificate_of_ones_own(self, running: Proxy, visitor: Visitor, upstream: EchoUpstream) -> None:
        """The very one is shown, beside one that covers the same name."""
        mine, wide = make_certificate("a.example.org"), make_certificate("*.example.org")
        certificates = (ProxyCertificate("mine", *mine), ProxyCertificate("wide", *wide))
        routes = (
            ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), tls="custom", certificate_id="mine"),
            ProxyRoute("b", "*.example.org", upstreams=(upstream.at,), tls="custom", certificate_id="wide"),
        )
        await running.apply(ProxyConfig(routes, certificates))
        assert (await visitor.get_securely("a.example.org", root=mine[0])).status_code == 200
        assert (await visitor.get_securely("b.example.org", root=wide[0])).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await visitor.get_securely("b.example.org", root=mine[0])
