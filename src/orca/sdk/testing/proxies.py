# ruff: noqa: S101 - assertions are what a test suite is made of
"""The conformance suite of proxies.

A provider's author writes::

    class TestMyProxy(ProxyConformance):
        @pytest.fixture
        async def proxy(self):
            async with MyProxyProvider().open(MyConfig(...), connector) as proxy:
                yield proxy
                await proxy.stop()

The proxy of the fixture has not been started yet. `orca.sdk.testing.proxy_traffic` has a suite for what
visitors see. The suites need pytest and pytest-asyncio in `auto` mode.
"""

import asyncio
from dataclasses import replace

import pytest

from orca.errors import RequestRefused
from orca.sdk.proxies import Hsts, Proxy, ProxyCertificate, ProxyConfig, ProxyRoute, Upstream
from orca.sdk.testing.certificates import make_certificate

_NOWHERE = (Upstream("127.0.0.1", 9),)
SITE = ProxyRoute(id="site", hostname="site.example.org", upstreams=_NOWHERE, title="Site")
OTHER = ProxyRoute(id="other", hostname="other.example.org", path_prefix="/api", upstreams=_NOWHERE, strip_prefix=True)
FULL = ProxyRoute(
    id="full",
    hostname="full.example.org",
    upstreams=(Upstream("127.0.0.1", 9), Upstream("::1", 10)),
    redirect_status=308,
    compress=False,
    max_body_bytes=1_000_000,
    timeout=2.5,
    allow_ips=("192.0.2.0/24", "2001:db8::/32"),
    maintenance=True,
    protocol="h2c",
    hsts=Hsts(31_536_000, include_subdomains=True),
    title='Braces {http.request.host} & <b>tags</b> "quoted" \\ back',
)
WILDCARD = ProxyRoute(id="wildcard", hostname="*.example.org", redirect_to="https://example.com/here")

HOSTILE: tuple[dict[str, object], ...] = (
    {"hostname": "{env.HOME}"},
    {"hostname": "a.example.org\nb.example.org"},
    {"hostname": "a.example.org`)"},
    {"hostname": "A.example.org"},
    {"hostname": "a..example.org"},
    {"hostname": ""},
    {"path_prefix": "relative"},
    {"path_prefix": "/{path}"},
    {"path_prefix": "/a b"},
    {"path_prefix": "/a\r\nX-Header: 1"},
    {"path_prefix": "/a/../b"},
    {"path_prefix": "/*"},
    {"redirect_to": "javascript:alert(1)"},
    {"redirect_to": "https://a.example.org/\r\nSet-Cookie: a=b"},
    {"redirect_to": "https://{http.request.host}/"},
    {"redirect_to": "https://user@a.example.org/"},
    {"upstreams": (Upstream("{env.HOME}", 80),)},
    {"upstreams": (Upstream("unix//var/run/docker.sock", 80),)},
    {"upstreams": (Upstream("127.0.0.1", 0),)},
    {"allow_ips": ("10.0.0.1; allow all",)},
    {"title": "bell\x07"},
    {"hsts": Hsts(-1)},
    {"protocol": "unix"},
    {"tls": "custom", "certificate_id": "no-such-certificate"},
)
"""Values with a special meaning in a proxy's own configuration language, and incomplete ones."""


def by_id(config: ProxyConfig | None) -> dict[str, ProxyRoute]:
    """Return the routes by id, regardless of their order."""
    assert config is not None
    return {route.id: route for route in config.routes}


class ProxyConformance:
    """Subclass it and define a `proxy` fixture."""

    async def test_before_the_start_nothing_runs(self, proxy: Proxy) -> None:
        """To look is no error, and starts nothing."""
        state = await proxy.inspect()
        assert (state.running, state.config, state.drifted) == (False, None, False)

    async def test_start_is_idempotent(self, proxy: Proxy) -> None:
        """The second start changes nothing."""
        await proxy.start()
        await proxy.apply(ProxyConfig((SITE,)))
        await proxy.start()
        state = await proxy.inspect()
        assert state.running
        assert state.version
        assert by_id(state.config) == {"site": SITE}

    async def test_a_fresh_proxy_serves_nothing(self, proxy: Proxy) -> None:
        """And says so."""
        await proxy.start()
        assert await proxy.inspect() == replace(await proxy.inspect(), config=ProxyConfig(()), drifted=False)

    async def test_what_is_applied_is_what_is_seen(self, proxy: Proxy) -> None:
        """Observation gives back the very facts."""
        pem, key = make_certificate("own.example.org")
        own = ProxyRoute(id="own", hostname="own.example.org", tls="custom", certificate_id="mine")
        desired = ProxyConfig((SITE, OTHER, FULL, WILDCARD, own), certificates=(ProxyCertificate("mine", pem, key),))
        await proxy.start()
        await proxy.apply(desired)
        state = await proxy.inspect()
        assert by_id(state.config) == by_id(desired)
        assert state.config is not None
        assert state.config.certificates == desired.certificates
        assert not state.drifted
        assert proxy.plan(state.config, desired) == []

    async def test_applying_again_changes_nothing(self, proxy: Proxy) -> None:
        """Safe to repeat, as every step of a task is."""
        await proxy.start()
        await proxy.apply(ProxyConfig((SITE, OTHER)))
        await proxy.apply(ProxyConfig((SITE, OTHER)))
        assert by_id((await proxy.inspect()).config) == {"site": SITE, "other": OTHER}

    async def test_routes_come_and_go(self, proxy: Proxy) -> None:
        """Each configuration replaces the one before."""
        moved = replace(SITE, upstreams=(Upstream("127.0.0.1", 10),))
        stopped = replace(SITE, upstreams=())
        await proxy.start()
        for routes in ((SITE,), (SITE, OTHER), (moved, OTHER), (moved,), (stopped,), (OTHER,), ()):
            await proxy.apply(ProxyConfig(routes))
            assert by_id((await proxy.inspect()).config) == {route.id: route for route in routes}

    def test_plans_say_what_will_happen(self, proxy: Proxy) -> None:
        """One change per route, each with a sentence; no change for what is there."""
        changed = replace(OTHER, maintenance=True)
        changes = proxy.plan(ProxyConfig((SITE, OTHER)), ProxyConfig((WILDCARD, changed)))
        sentences = [change.describe() for change in changes]
        assert len(sentences) == 3  # noqa: PLR2004 - one added, one changed, one removed
        for hostname in (SITE.hostname, OTHER.hostname, WILDCARD.hostname):
            assert sum(hostname in sentence for sentence in sentences) == 1
        assert proxy.plan(None, ProxyConfig(())) == []

    @pytest.mark.parametrize("bad", HOSTILE, ids=str)
    async def test_hostile_values_are_refused(self, proxy: Proxy, bad: dict[str, object]) -> None:
        """The refusal names the route and the next step, and what served goes on serving."""
        await proxy.start()
        await proxy.apply(ProxyConfig((SITE,)))
        route = replace(OTHER, **bad)  # type: ignore[arg-type]
        with pytest.raises(RequestRefused) as failure:
            await proxy.apply(ProxyConfig((SITE, route)))
        assert failure.value.hint
        assert failure.value.details["route_id"] == OTHER.id
        state = await proxy.inspect()
        assert by_id(state.config) == {"site": SITE}
        assert not state.drifted

    async def test_a_place_has_one_route(self, proxy: Proxy) -> None:
        """Two routes for the same hostname and path are refused rather than left to chance."""
        await proxy.start()
        with pytest.raises(RequestRefused, match=r"site\.example\.org"):
            await proxy.apply(ProxyConfig((SITE, replace(SITE, id="twin"))))

    async def test_concurrent_changes_end_in_one_of_them(self, proxy: Proxy) -> None:
        """Fifty at once: none fails, and what is left is exactly what one of them asked for."""
        configs = [ProxyConfig((replace(SITE, title=f"Site {number}"),)) for number in range(50)]
        await proxy.start()
        await asyncio.gather(*(proxy.apply(config) for config in configs))
        state = await proxy.inspect()
        assert by_id(state.config) in [by_id(config) for config in configs]
        assert not state.drifted

    async def test_certificates_are_listed(self, proxy: Proxy) -> None:
        """With issuer and expiry, for the hostnames that are served."""
        pem, key = make_certificate("own.example.org")
        own = ProxyRoute(id="own", hostname="own.example.org", tls="custom", certificate_id="mine")
        await proxy.start()
        await proxy.apply(ProxyConfig((own, SITE), certificates=(ProxyCertificate("mine", pem, key),)))
        (found,) = await proxy.certificates()
        assert (found.hostname, found.tls) == ("own.example.org", "custom")
        assert "Test" in found.issuer
        assert found.not_after.endswith("+00:00")

    async def test_it_serves_the_same_after_a_restart(self, proxy: Proxy) -> None:
        """Stopped for good means stopped; started again it knows what it served."""
        await proxy.start()
        await proxy.apply(ProxyConfig((SITE, OTHER)))
        await proxy.stop()
        await proxy.stop()
        assert not (await proxy.inspect()).running
        await proxy.start()
        state = await proxy.inspect()
        assert by_id(state.config) == {"site": SITE, "other": OTHER}
        assert not state.drifted
