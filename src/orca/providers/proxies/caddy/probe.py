"""Sends requests to the proxy, like a visitor, to check that it serves what was loaded."""

import asyncio
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Address

import httpx

from orca.errors import RequestRefused
from orca.providers.proxies.caddy.check import refusal
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.render import probe_token
from orca.providers.proxies.caddy.sites import PROBE_HEADER, ROUTE_HEADER, UPSTREAM_HEADER
from orca.providers.proxies.caddy.upstreams import render_upstreams, slots
from orca.sdk.proxies import ProxyConfig, ProxyRoute

_PATIENCE = 5.0
"""Seconds until a route must answer: listeners and internal certificates are ready a moment after the load."""
_PAUSE = 0.02
_CONCURRENCY = 16
_HANDSHAKES = 20
"""Maximum number of routes that are also probed over TLS: each new one costs a new certificate."""


async def probe(config: ProxyConfig, routes: Sequence[ProxyRoute], layout: Layout, *, tls: bool) -> None:
    """Raise RequestRefused that names the first of `routes` which the proxy does not answer correctly, and the others.

    Requests never reach the upstream. `tls` also tries HTTPS, for certificates that depend on no external authority.
    """
    visitor = _Visitor(config, layout)
    limits = httpx.Limits(max_connections=_CONCURRENCY, max_keepalive_connections=_CONCURRENCY)
    async with httpx.AsyncClient(verify=_any_certificate(), limits=limits, timeout=_PATIENCE, trust_env=False) as http:
        turn = asyncio.Semaphore(_CONCURRENCY)
        asked = [visitor.ask(http, route, "http", turn) for route in routes]
        secure = [route for route in routes if route.tls in {"internal", "custom"}] if tls else []
        asked += [visitor.ask(http, route, "https", turn) for route in secure[:_HANDSHAKES]]
        failures = [failure for failure in await asyncio.gather(*asked) if failure is not None]
    if failures:
        failures[0].details["also"] = {request.details["route_id"]: request.message for request in failures[1:]}
        raise failures[0]


class _Visitor:
    def __init__(self, config: ProxyConfig, layout: Layout) -> None:
        self._token = probe_token(config)
        self._upstreams = render_upstreams(config)
        self._ports = {"http": layout.http_port, "https": layout.https_port}
        address = layout.addresses[0]
        if address.is_unspecified:
            self._address = "127.0.0.1" if isinstance(address, IPv4Address) else "[::1]"
        else:
            self._address = str(address) if isinstance(address, IPv4Address) else f"[{address}]"

    async def ask(
        self, http: httpx.AsyncClient, route: ProxyRoute, scheme: str, turn: asyncio.Semaphore
    ) -> RequestRefused | None:
        """Return None once the route answers correctly, or the refusal when it did not in time."""
        seen = "no answer"
        async with turn:
            try:
                async with asyncio.timeout(_PATIENCE):
                    while True:
                        seen = await self._look(http, route, scheme)
                        if not seen:
                            return None
                        await asyncio.sleep(_PAUSE)
            except TimeoutError:
                return refusal(
                    route,
                    f"is not served by the proxy over {scheme}: {seen}",
                    "The configuration before it was restored. Look at the proxy's log.",
                )

    async def _look(self, http: httpx.AsyncClient, route: ProxyRoute, scheme: str) -> str:
        """Return what is wrong with the answer; empty when nothing is."""
        hostname = route.hostname.replace("*", "orca-probe")
        try:
            answer = await http.get(
                f"{scheme}://{self._address}:{self._ports[scheme]}{route.path_prefix}",
                headers={"Host": hostname, PROBE_HEADER: self._token},
                extensions={"sni_hostname": hostname},
            )
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        if answer.headers.get(ROUTE_HEADER) != route.id:
            return f"status {answer.status_code} from elsewhere"
        expected = [self._upstreams.get(slot, "") for slot in slots(route)]
        return "" if answer.headers.get_list(UPSTREAM_HEADER) == expected else "it has other upstreams"


def _any_certificate() -> ssl.SSLContext:
    # No verification: this is our own listener on our own machine, and the probe checks which route answers, not
    # the server's identity. An expired certificate must not block the redeployment of its site.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
