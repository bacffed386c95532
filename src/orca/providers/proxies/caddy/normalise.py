"""Brings configurations into a canonical form, so that a rendered one can be compared with the requested one."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from orca.sdk.proxies import ProxyConfig, ProxyRoute

REMEMBERED = 4096
"""Size of the caches of checked and normalised routes: usually only one route of a thousand has changed."""


def precedence(route: ProxyRoute) -> tuple[bool, str, int, str]:
    """Return the sort key of matching order: exact hosts before wildcards, longer prefixes before shorter ones."""
    return route.hostname.startswith("*."), route.hostname, -len(route.path_prefix), route.path_prefix


@lru_cache(maxsize=4)
def normalise(config: ProxyConfig) -> ProxyConfig:
    """Remove what has no effect (such as a certificate that no route uses), and sort the rest in a stable order."""
    routes = tuple(sorted((_normalise_route(route) for route in config.routes), key=precedence))
    used = {route.certificate_id for route in routes}
    return ProxyConfig(
        routes=routes,
        certificates=tuple(sorted((c for c in config.certificates if c.id in used), key=lambda c: c.id)),
    )


def select_routes(config: ProxyConfig, routes: Iterable[ProxyRoute]) -> ProxyConfig:
    """Return `config` with these routes only, and what they need."""
    return normalise(replace(config, routes=tuple(routes)))


@lru_cache(maxsize=REMEMBERED)
def _normalise_route(route: ProxyRoute) -> ProxyRoute:
    prefix = "/" + route.path_prefix.strip("/")
    return replace(
        route,
        path_prefix=prefix,
        upstreams=tuple(sorted(set(route.upstreams), key=lambda upstream: (upstream.host, upstream.port))),
        strip_prefix=route.strip_prefix and prefix != "/",
        redirect_to=route.redirect_to.rstrip("/") if route.redirect_to else None,
        redirect_status=route.redirect_status if route.redirect_to else 308,
        https_redirect=route.https_redirect or route.tls == "off",
        certificate_id=route.certificate_id if route.tls == "custom" else None,
        max_body_bytes=route.max_body_bytes or None,
        timeout=max(0.001, round(route.timeout, 3)) if route.timeout else None,
    )
