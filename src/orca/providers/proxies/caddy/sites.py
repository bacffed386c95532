"""Renders a route as a chain of Caddy handlers, each present only if the route needs it."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.pages import quote_title
from orca.providers.proxies.caddy.upstreams import SMALLEST, placeholders, slots, without_upstreams
from orca.sdk.proxies import BasicAuthUser, Hsts, ProxyRoute

Json = dict[str, Any]

PROBE_HEADER = "X-Orca-Probe"
ROUTE_HEADER = "X-Orca-Route"
UPSTREAM_HEADER = "X-Orca-Upstream"
PLAIN = "http:"
"""Prefix of the `@id` of the block that redirects a route's HTTP to HTTPS; no route id contains a colon."""
URI = "{http.request.uri}"

_OVER_TLS = {"X-Forwarded-Proto": ["https", "wss"]}
"""The edge's header for requests over TLS, to the edge itself or to a trusted proxy in front."""
_OVER_OUR_TLS = {"X-Orca-Tls": ["tls*"]}
"""The edge's header for requests over TLS to the edge itself."""
_STREAMS_OUTLIVE_RELOADS_FOR = "24h"
_RETRY_FOR = 5.0
"""Seconds for which a request waits for a replica that is just starting or stopping."""
_UNCLEAR_PATH = r"(^|[/\\])(\.\.?;|\.\.([/\\]|$)|;[^/\\]*[/\\])|/\\|[\x00-\x1f\x7f]"
"""Matches decoded paths that Caddy and a service may resolve differently: `/x/..;/admin` and `/;x/admin` are `/admin`
to servlets, `/admin/../x` is below `/admin` for a server that does not normalise, and for some a line feed ends the
path. Browsers send none of these.
"""
_COMPRESSED_TYPES = (
    # No event streams: they must not be buffered, and compression gains nothing.
    "text/html*", "text/css*", "text/plain*", "text/xml*", "text/csv*", "text/markdown*", "text/javascript*",
    "application/json*", "application/*+json*", "application/javascript*", "application/xml*", "application/*+xml*",
    "application/wasm*", "font/*", "image/svg+xml*", "image/x-icon*",
)  # fmt: skip


def render_sites(routes: Iterable[ProxyRoute], layout: Layout, token: str) -> list[Json]:
    """Return one isolated block per hostname; `routes` must be in order of precedence."""
    return [_render_site(host, list(group), layout, token) for host, group in groupby(routes, lambda r: r.hostname)]


def render_compression() -> Json:
    """Return the compression handler that routes invoke by name, so that it is contained only once."""
    return {
        "handler": "encode",
        "encodings": {"zstd": {}, "gzip": {}},
        "prefer": ["zstd", "gzip"],
        "minimum_length": 512,
        "match": {"headers": {"Content-Type": list(_COMPRESSED_TYPES)}},
    }


def _render_route(route: ProxyRoute, layout: Layout, token: str) -> Json:
    """Return all handlers of a route. By `token` the probe sees which route answers, and where it leads."""
    steps = [_probe(route, layout, token), {"handle": [_names(route)]}]
    if route.allow_ips:
        outside = {"not": [{"client_ip": {"ranges": list(route.allow_ips)}}]}
        steps.append({"match": [outside], **_invoke("forbidden")})
    if route.maintenance:
        steps.append(_invoke("maintenance"))
    if route.basic_auth:
        steps.append({"handle": [_authentication(route.basic_auth)]})
    if route.strip_prefix:
        steps.append({"handle": [{"handler": "rewrite", "strip_path_prefix": route.path_prefix}]})
    if route.redirect_to is not None:
        steps.append({"handle": [_redirect(route.redirect_to + URI, route.redirect_status)]})
    if route.hsts is not None:
        steps.append({"match": [{"header": _OVER_TLS}], "handle": [_hsts(route.hsts)]})
    if route.max_body_bytes is not None:
        steps.append({"handle": [{"handler": "request_body", "max_size": route.max_body_bytes}]})
    if route.compress:
        steps.append(_invoke("compress"))
    steps.append({"match": [without_upstreams(route, layout)], **_invoke("down")})
    steps.append({"handle": [_reverse_proxy(route, layout)]})
    return _path_block(route, steps, unless=_OVER_OUR_TLS if route.tls == "off" else None)


def _render_https_redirect(route: ProxyRoute, layout: Layout, token: str) -> Json:
    """Return the redirect from HTTP to HTTPS, with its port."""
    port = "" if layout.https_port == 443 else f":{layout.https_port}"  # noqa: PLR2004 - HTTPS's own port
    location = f"https://{{http.request.host}}{port}{URI}"
    steps = [_probe(route, layout, token), {"handle": [_redirect(location, 308)]}]
    return _path_block(route, steps, unless=_OVER_TLS) | {"@id": PLAIN + route.id}


def _redirect(location: str, status: int) -> Json:
    return {"handler": "static_response", "status_code": status, "headers": {"Location": [location]}}


def _render_site(hostname: str, routes: Sequence[ProxyRoute], layout: Layout, token: str) -> Json:
    blocks: list[Json] = []
    if any(route.path_prefix != "/" for route in routes):
        unclear = {"vars_regexp": {"{http.request.uri.path}": {"pattern": _UNCLEAR_PATH}}}
        blocks.append({"match": [unclear], **_invoke("unclear")})
    for route in routes:
        if route.tls != "off" and route.https_redirect:
            blocks.append(_render_https_redirect(route, layout, token))
        blocks.append(_render_route(route, layout, token))
    if routes[-1].path_prefix != "/" or routes[-1].tls == "off":
        # A request for a host without TLS arrives over TLS when a wildcard's certificate covers it.
        blocks.append(_invoke("unknown"))
    return {"match": [{"host": [hostname]}], "handle": [{"handler": "subroute", "routes": blocks}], "terminal": True}


def _path_block(route: ProxyRoute, steps: list[Json], *, unless: Json | None) -> Json:
    matcher: Json = {"not": [{"header": unless}]} if unless else {}
    if route.path_prefix != "/":
        # For many servers `/admin;x` is `/admin` with a parameter (RFC 3986, 3.3): it must not bypass a route's rules.
        matcher["path"] = [route.path_prefix, f"{route.path_prefix}/*", f"{route.path_prefix};*"]
    block: Json = {"@id": route.id, "handle": [{"handler": "subroute", "routes": steps}], "terminal": True}
    matchers = [matcher] if matcher else []
    if route.path_prefix.count("/") > 1:
        parts = "".join(f"/{re.escape(part)}(;[^/]*)?" for part in route.path_prefix[1:].split("/"))
        matchers.append(matcher | {"path": ["*"], "path_regexp": {"pattern": f"(?i)^{parts}(/|$)"}})
    return block | {"match": matchers} if matchers else block


def _probe(route: ProxyRoute, layout: Layout, token: str) -> Json:
    headers = {ROUTE_HEADER: [route.id], UPSTREAM_HEADER: placeholders(route, layout)}
    return {
        "match": [{"header": {PROBE_HEADER: [token]}}],
        "handle": [{"handler": "static_response", "status_code": 204, "headers": headers}],
    }


def _names(route: ProxyRoute) -> Json:
    title = quote_title(route.title)
    names = {"handler": "vars", "orca_title": title, "orca_name": title or route.hostname}
    return names | ({"orca_certificate": route.certificate_id} if route.certificate_id else {})


def _invoke(name: str) -> Json:
    return {"handle": [{"handler": "invoke", "name": name}]}


def _hsts(hsts: Hsts) -> Json:
    return {"handler": "headers", "response": {"deferred": True, "set": {"Strict-Transport-Security": [str(hsts)]}}}


def _authentication(users: Sequence[BasicAuthUser]) -> Json:
    return {
        "handler": "authentication",
        "providers": {
            "http_basic": {
                "hash": {"algorithm": "bcrypt"},
                # bcrypt costs tens of milliseconds of CPU: once per visitor, not once per request.
                "hash_cache": {},
                "accounts": [{"username": user.username, "password": user.password_hash} for user in users],
            }
        },
    }


def _reverse_proxy(route: ProxyRoute, layout: Layout) -> Json:
    transport: Json = {
        "protocol": "http",
        "dial_timeout": "3s",
        "compression": False,
        # Shorter than the five seconds after which Node.js and uvicorn close idle connections, which would fail a POST.
        "keep_alive": {"idle_timeout": "4s"},
    }
    if route.protocol == "h2c":
        transport["versions"] = ["h2c"]
    if route.timeout is not None:
        transport["response_header_timeout"] = round(route.timeout * 1000) * 1_000_000
    set_headers = {"X-Real-Ip": ["{http.vars.client_ip}"]}
    if route.strip_prefix:
        set_headers["X-Forwarded-Prefix"] = [route.path_prefix]
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": placeholder} for placeholder in placeholders(route, layout)],
        "transport": transport,
        "load_balancing": _load_balancing(route),
        "headers": {"request": {"set": set_headers, "delete": ["X-Orca-Client", "X-Orca-Tls"]}},
        "flush_interval": -1,
        "stream_close_delay": _STREAMS_OUTLIVE_RELOADS_FOR,
        "health_checks": _health_checks(route),
    }


def _health_checks(route: ProxyRoute) -> Json:
    """Return passive health checks: a replica that fails gets no requests for a moment.

    Where all slots may lead to one replica, that time is short and needs several failures: visitors wait meanwhile.
    """
    is_small = len(slots(route)) == SMALLEST
    return {"passive": {"fail_duration": "1s", "max_fails": 2} if is_small else {"fail_duration": "2s", "max_fails": 1}}


def _load_balancing(route: ProxyRoute) -> Json:
    # Retrying for longer than the route's own timeout would send a slow request to the service again and again.
    seconds = min(_RETRY_FOR, route.timeout or _RETRY_FOR)
    return {
        "selection_policy": {"policy": "least_conn"},
        "try_duration": round(seconds * 1000) * 1_000_000,
        "try_interval": "100ms",
    }
