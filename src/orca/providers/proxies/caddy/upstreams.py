"""Where each route's requests go, one small file per replica that Caddy reads anew for every request.

A reload of Caddy replaces its servers, and connections on their way in at that moment are lost (Go's `Shutdown`
drops a connection whose first request has not been read). Redeployments are frequent, so they must not reload
anything: the configuration names files, and a redeployment renames new ones into their place.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import ProxyConfig, ProxyRoute, Upstream

Json = dict[str, Any]


SMALLEST = 2
_SIZES = (SMALLEST, 12, 60)
"""How many slots there may be: few sizes, with many divisors, so that scaling seldom changes the configuration and the
replicas share the load evenly."""


def slots(route: ProxyRoute) -> list[str]:
    """File names of a route's upstreams: at least as many as it has, so that starting, stopping and scaling within the
    size is no reload either. Surplus ones repeat the addresses from the start.
    """
    count = len(route.upstreams)
    return [f"{route.id}.{number}" for number in range(next((size for size in _SIZES if size >= count), count))]


def placeholders(route: ProxyRoute, layout: Layout) -> list[str]:
    """What Caddy replaces by the addresses."""
    return [f"{{file.{layout.upstreams / slot}}}" for slot in slots(route)]


def without_upstreams(route: ProxyRoute, layout: Layout) -> Json:
    """A matcher that is true while the route has nowhere to go."""
    return {"not": [{"file": {"root": str(layout.upstreams), "try_files": [f"/{slots(route)[0]}"]}}]}


def render_upstreams(config: ProxyConfig) -> dict[str, str]:
    """File name -> address."""
    return {
        slot: _render_address(upstream)
        for route in config.routes
        if route.upstreams
        for slot, upstream in zip(slots(route), cycle(route.upstreams), strict=False)
    }


def parse_upstreams(names: list[str], files: Mapping[str, str]) -> tuple[Upstream, ...]:
    """The addresses in these files, of those that exist. Raises ValueError for what is no address."""
    return tuple(dict.fromkeys(_parse_address(files[name]) for name in names if name in files))


def _render_address(upstream: Upstream) -> str:
    return f"[{upstream.host}]:{upstream.port}" if ":" in upstream.host else str(upstream)


def _parse_address(text: str) -> Upstream:
    host, _, port = text.rpartition(":")
    return Upstream(host.removeprefix("[").removesuffix("]"), int(port))
