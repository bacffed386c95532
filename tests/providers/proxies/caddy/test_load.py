"""Visitors come and go while routes change: none of them may notice."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from orca.errors import RequestRefused
from orca.providers.proxies.caddy import CaddyProxy
from orca.sdk.proxies import ProxyCertificate, ProxyConfig, ProxyRoute
from orca.sdk.testing.certificates import make_certificate
from orca.sdk.testing.proxy_traffic import Visitor
from orca.sdk.testing.upstream import EchoUpstream, echo_upstreams

pytestmark = pytest.mark.slow

RATE = 200
"""Requests per second, as in the budget."""
CLIENTS = 8


class Crowd:
    """Visitors of one hostname. `strict` ones open a connection per request and never try again; the others keep
    theirs and, as RFC 9110 section 9.2.2 has it, repeat a GET once when it is closed before any answer."""

    def __init__(self, port: int, hostname: str, *, strict: bool) -> None:
        self._port = port
        self._request = (
            f"GET / HTTP/1.1\r\nHost: {hostname}\r\n{'Connection: close' if strict else 'X: 1'}\r\n\r\n".encode()
        )
        self._strict = strict
        self._stopped = asyncio.Event()
        self.seen: Counter[str] = Counter()

    @asynccontextmanager
    async def at_work(self):
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._visit())
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

    async def _visit(self) -> None:
        connection = None
        while not self._stopped.is_set():
            begun = asyncio.get_running_loop().time()
            for is_last in (self._strict, True):
                try:
                    connection = connection or await asyncio.open_connection("127.0.0.1", self._port)
                    status = await asyncio.wait_for(self._ask(*connection), 20)
                except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                    status = type(error).__name__
                if connection and (self._strict or status != "200"):
                    connection[1].close()
                    connection = None
                if is_last or status.isdecimal():
                    break
            self.seen[status] += 1
            await asyncio.sleep(max(0.0, CLIENTS / RATE - (asyncio.get_running_loop().time() - begun)))
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
        async with Crowd(visitor.http_port, "a.example.org", strict=True).at_work() as crowd:
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
        async with Crowd(visitor.http_port, "a.example.org", strict=True).at_work() as crowd:
            await upstream.__aexit__(None, None, None)
            await asyncio.sleep(1)
            await upstream.__aenter__()
            await asyncio.sleep(1)
        assert crowd.failures == {}


async def test_thirty_route_changes_under_load(running: CaddyProxy, visitor: Visitor):
    """Sites of others appear, change and go; each is a reload of Caddy, and visitors of this one see nothing of it."""
    async with EchoUpstream() as upstream:
        site = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,))
        await running.apply(ProxyConfig((site,)))
        async with Crowd(visitor.http_port, "a.example.org", strict=False).at_work() as crowd:
            for number in range(30):
                other = ProxyRoute(f"b{number % 3}", f"b{number}.example.org", upstreams=(upstream.at,))
                await running.apply(ProxyConfig((site, other)))
        assert crowd.failures == {}


async def test_broken_routes_under_load(running: CaddyProxy, visitor: Visitor):
    """Row 17: what is refused never touches the Caddy that serves; 0 failed, with the strictest of visitors."""
    certificate, _ = make_certificate("bad.example.org")
    _, key = make_certificate("bad.example.org")
    bad = ProxyRoute("bad", "bad.example.org", tls="custom", certificate_id="mixed")
    async with EchoUpstream() as upstream:
        site = ProxyRoute("a", "a.example.org", upstreams=(upstream.at,))
        await running.apply(ProxyConfig((site,)))
        async with Crowd(visitor.http_port, "a.example.org", strict=True).at_work() as crowd:
            for _ in range(10):
                with pytest.raises(RequestRefused):
                    await running.apply(ProxyConfig((site, bad), (ProxyCertificate("mixed", certificate, key),)))
                with pytest.raises(RequestRefused):
                    await running.apply(ProxyConfig((site, replace(site, id="b", hostname="{"))))
        assert crowd.failures == {}
