"""Visitors come and go while routes change: none of them may notice."""

import asyncio
import os
import signal
import ssl
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from orca.errors import RequestRefused
from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy
from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import ProxyCertificate, ProxyConfig, ProxyRoute, Upstream
from orca.sdk.testing.certificates import make_certificate
from orca.sdk.testing.proxy_traffic import Visitor
from orca.sdk.testing.upstream import EchoUpstream, echo_upstreams

pytestmark = pytest.mark.slow

RATE = 200
"""Requests per second, as in the budget."""
CLIENTS = 8


class Crowd:
    """Visitors of one hostname who never try again: with a connection per request, or with one each that they keep."""

    def __init__(
        self, port: int, hostname: str, *, is_kept: bool = False, body: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        self._port = port
        self._tls = {"ssl": tls, "server_hostname": hostname} if tls else {}
        ending = "X: 1" if is_kept else "Connection: close"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self._request = (
            f"{'POST' if body else 'GET'} / HTTP/1.1\r\nHost: {hostname}\r\n{length}{ending}\r\n\r\n{body}".encode()
        )
        self._is_kept = is_kept
        self._stopped = asyncio.Event()
        self.seen: Counter[str] = Counter()

    @asynccontextmanager
    async def at_work(self, *, rate: float = RATE):
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._visit(CLIENTS / rate))
            try:
                await asyncio.sleep(0.3)
                yield self
                await asyncio.sleep(0.3)
            finally:
                self._stopped.set()
        assert self.seen.total() > 50, "there was no load worth the name"

    @property
    def failures(self) -> dict[str, int]:
        return {what: count for what, count in self.seen.items() if what != "200"}

    async def _visit(self, period: float) -> None:
        connection = None
        while not self._stopped.is_set():
            begun = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(20):
                    connection = connection or await asyncio.open_connection("127.0.0.1", self._port, **self._tls)
                    status = await self._ask(*connection)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                status = type(error).__name__
            if connection and (not self._is_kept or status != "200"):
                connection[1].close()
                connection = None
            self.seen[status] += 1
            await asyncio.sleep(max(0.0, period - (asyncio.get_running_loop().time() - begun)))
        if connection:
            connection[1].close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        await reader.readexactly(length)
        return head.split(" ")[1]


async def test_twenty_redeployments_under_load(running: CaddyProxy, visitor: Visitor):
    """200 requests per second, a connection each, none repeated: 0 failed, and every replica was used."""
    async with echo_upstreams(*(f"release {number}" for number in range(21))) as releases:
        route = ProxyRoute("a", "a.example.org", upstreams=(releases[0].at,))
        await running.apply(ProxyConfig((route,)))
        async with Crowd(visitor.http_port, "a.example.org").at_work() as crowd:
            for old, new in pairwise(releases):
                await running.apply(ProxyConfig((replace(route, upstreams=(new.at,)),)))
                await asyncio.sleep(0.1)
                await old.__aexit__(None, None, None)
                await asyncio.sleep(0.1)
        assert crowd.failures == {}
        assert all(release.requests for release in releases)
        for old in releases[:-1]:
            await old.__aenter__()


async def test_a_replica_that_restarts_costs_nobody_a_request(running: CaddyProxy, visitor: Visitor):
    """The only replica is away for a second: visitors wait for it."""
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        async with Crowd(visitor.http_port, "a.example.org").at_work() as crowd:
            await upstream.__aexit__(None, None, None)
            await asyncio.sleep(1)
            await upstream.__aenter__()
            await asyncio.sleep(1)
        assert crowd.failures == {}


def changes_of_others(site: ProxyRoute, at: Upstream) -> list[ProxyConfig]:
    """Twenty: other hostnames come, change in each way and go, with and without TLS."""
    configs: list[ProxyConfig] = []
    for number in range(5):
        plain = ProxyRoute("plain", f"plain{number}.example.org", upstreams=(at,))
        secure = ProxyRoute("secure", f"secure{number}.example.org", upstreams=(at,), tls="internal")
        edited = replace(plain, maintenance=True, tls="internal", max_body_bytes=1000)
        configs += [ProxyConfig(routes) for routes in ((site, plain), (site, edited, secure), (site, secure), (site,))]
    return configs


async def test_twenty_hostname_changes_under_load(running: CaddyProxy, visitor: Visitor):
    """200 requests per second of every kind of visitor, none repeated, POST with a body: 0 failed."""
    async with EchoUpstream() as upstream:
        site = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,), tls="internal", https_redirect=False)
        await running.apply(ProxyConfig((site,)))
        trusted = ssl.create_default_context(cadata=await running.internal_ca())
        crowds = [
            Crowd(port, "a.example.org", is_kept=is_kept, body="body", tls=tls)
            for port, tls in ((visitor.http_port, None), (visitor.https_port, trusted))
            for is_kept in (False, True)
        ]
        async with AsyncExitStack() as stack:
            reader, writer = await stack.enter_async_context(visitor.websocket("a.example.org"))
            for crowd in crowds:
                await stack.enter_async_context(crowd.at_work(rate=RATE / len(crowds)))
            for number, config in enumerate(changes_of_others(site, upstream.at)):
                await running.apply(config)
                writer.write(b"ping%02d" % number)
                async with asyncio.timeout(5):
                    assert await reader.readexactly(6) == b"ping%02d" % number
        assert [crowd.failures for crowd in crowds] == [{}, {}, {}, {}]


async def starve_at_each_switch(layout: Layout, seconds: float) -> None:
    """Give the router no processor from the moment at which its next servers listen until those before should end."""
    switched = layout.next.read_text()
    while True:
        await asyncio.sleep(0.001)
        if (socket := layout.next.read_text()) == switched:
            continue
        with suppress(OSError):
            _, writer = await asyncio.open_unix_connection(socket.removeprefix("unix/"))
            writer.close()
            pid, switched = int(layout.router.pid_file.read_text().split()[0]), socket
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)


async def test_a_router_starved_while_routes_change_loses_no_post(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor
):
    """What the router had not read when its servers ended is sent again, to the next ones, and reaches a service once."""
    async with EchoUpstream() as upstream:
        site = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,))
        await running.apply(ProxyConfig((site,)))
        starving = asyncio.create_task(starve_at_each_switch(Layout.of(config), 0.3))
        crowds = [Crowd(visitor.http_port, "a.example.org", is_kept=is_kept, body="body") for is_kept in (False, True)]
        async with AsyncExitStack() as stack:
            for crowd in crowds:
                await stack.enter_async_context(crowd.at_work(rate=2 * RATE))
            for number in range(12):
                other = ProxyRoute("plain", f"plain{number}.example.org", upstreams=(upstream.at,))
                await running.apply(ProxyConfig((site, other)))
        starving.cancel()
        assert [crowd.failures for crowd in crowds] == [{}, {}]
        assert upstream.requests == sum(crowd.seen.total() for crowd in crowds)


async def test_a_socket_that_comes_into_use_again_is_spelled_anew(config: CaddyConfig, running: CaddyProxy):
    """The edge may have an unused connection to the servers that had it before, which hang up on its first request."""
    layout, spellings = Layout.of(config), []
    for number in (1, 2, 1, 2, 1):
        await running.apply(ProxyConfig((ProxyRoute("a", f"a{number}.example.org"),)))
        await running.inspect()  # waits for the end of the load
        spellings.append(layout.next.read_text())
        assert layout.current.read_text() == spellings[-1]
    assert (len(set(spellings)), len({Path(text) for text in spellings})) == (5, 2)


async def test_a_post_that_a_killed_router_had_passed_on_is_not_sent_again(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor
):
    """The service may have acted on it: only the visitor can decide to repeat it."""
    async with EchoUpstream() as upstream:
        await running.apply(ProxyConfig((ProxyRoute("a", "a.example.org", upstreams=(upstream.at,)),)))
        await running.inspect()  # waits for the end of the load
        reader, writer = await asyncio.open_connection("127.0.0.1", visitor.http_port)
        writer.write(b"POST /slow HTTP/1.1\r\nHost: a.example.org\r\nContent-Length: 4\r\n\r\nbody")
        async with asyncio.timeout(10):
            for _ in range(500):
                if upstream.requests:
                    break
                await asyncio.sleep(0.01)
            os.kill(int(Layout.of(config).router.pid_file.read_text().split()[0]), signal.SIGKILL)
            await running.start()
            assert (await reader.readline()).split()[1] == b"502"
        writer.close()
        assert upstream.requests == 1


async def test_broken_routes_under_load(running: CaddyProxy, visitor: Visitor):
    """Row 17: what is refused never touches the Caddy that serves; 0 failed, with the strictest of visitors."""
    certificate, _ = make_certificate("bad.example.org")
    _, key = make_certificate("bad.example.org")
    bad = ProxyRoute("bad", "bad.example.org", tls="custom", certificate_id="mixed")
    async with EchoUpstream() as upstream:
        site = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,))
        await running.apply(ProxyConfig((site,)))
        async with Crowd(visitor.http_port, "a.example.org").at_work() as crowd:
            for _ in range(10):
                with pytest.raises(RequestRefused):
                    await running.apply(ProxyConfig((site, bad), (ProxyCertificate("mixed", certificate, key),)))
                with pytest.raises(RequestRefused):
                    await running.apply(ProxyConfig((site, replace(site, id="b", hostname="{"))))
        assert crowd.failures == {}
