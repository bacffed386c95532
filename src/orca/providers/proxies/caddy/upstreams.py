"""The addresses of each route's replicas: one small file per replica, which Caddy reads for every request.

A reload of Caddy replaces its servers, and connections that are just being opened are lost (Go's `Shutdown` drops a
connection whose first request has not been read). Redeployments are frequent, so they must not cause a reload: the
configuration refers to files, and a redeployment replaces these by renaming.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import ProxyConfig, ProxyRoute, Upstream

Json = dict[str, Any]


SMALLEST = 2
_SIZES = (SMALLEST, 12, 60)
"""Possible numbers of slots: few sizes, with many divisors, so that scaling seldom changes the configuration and the
replicas share the load evenly."""


def slots(route: ProxyRoute) -> list[str]:
    """Return the file names of a route's slots: at least as many as it has replicas, so that starting, stopping and
    scaling within that size needs no reload either. Surplus slots repeat the addresses from the start.
    """
    count = len(route.upstreams)
    return [f"{route.id}.{number}" for number in range(next((size for size in _SIZES if size >= count), count))]


def placeholders(route: ProxyRoute, layout: Layout) -> list[str]:
    """Return the placeholders that Caddy replaces by the addresses."""
    folder = str(layout.upstreams)  # joined as text: pathlib takes a third of a second for a thousand routes
    return [f"{{file.{folder}/{slot}}}" for slot in slots(route)]


def without_upstreams(route: ProxyRoute, layout: Layout) -> Json:
    """Return a matcher that is true while the route has no replica."""
    return {"not": [{"file": {"root": str(layout.upstreams), "try_files": [f"/{slots(route)[0]}"]}}]}


def render_upstreams(config: ProxyConfig) -> dict[str, str]:
    """Return the address of each slot by file name."""
    return {
        slot: _render_address(upstream)
        for route in config.routes
        if route.upstreams
        for slot, upstream in zip(slots(route), cycle(route.upstreams), strict=False)
    }


def parse_upstreams(names: list[str], files: Mapping[str, str]) -> tuple[Upstream, ...]:
    """Return the addresses in these files, of those that exist. Raises ValueError for an invalid address."""
    return tuple(dict.fromkeys(_parse_address(files[name]) for name in names if name in files))


def _render_address(upstream: Upstream) -> str:
    return f"[{upstream.host}]:{upstream.port}" if ":" in upstream.host else str(upstream)


def _parse_address(text: str) -> Upstream:
    host, _, port = text.rpartition(":")
    return Upstream(host.removeprefix("[").removesuffix("]"), int(port))
