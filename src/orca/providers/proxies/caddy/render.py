"""ProxyConfig in, Caddy's JSON out: pure, so that golden files can show every byte of it."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.normalise import normalise
from orca.providers.proxies.caddy.pages import error_routes, named_routes
from orca.providers.proxies.caddy.sites import (
    PLAIN,
    render_closed_site,
    render_https_redirect,
    render_route,
    render_sites,
)
from orca.providers.proxies.caddy.tls import render_connection_policies, render_pki_app, render_tls_app
from orca.providers.proxies.caddy.upstreams import slots
from orca.sdk.proxies import ProxyConfig, ProxyRoute

Json = dict[str, Any]

ADMIN_ORIGIN = "orca-proxy"

# Who the visitor is, and where from, is for this proxy to say. Underscores reach CGI-like servers as hyphens would.
_SPOOFABLE_HEADERS = [
    "*_*", "Forwarded", "X-Forwarded-*", "X-Real-Ip", "X-Remote-*", "Remote-*", "X-Auth-Request-*", "X-Webauth-*",
    "X-Authenticated-*", "X-Original-*", "X-Rewrite-Url", "Proxy",
]  # fmt: skip


def render(config: ProxyConfig, layout: Layout) -> Json:
    """Caddy's whole configuration. `config` must have passed `check_config`."""
    config = normalise(config)
    token = probe_token(config)
    return {
        "admin": {
            "listen": f"unix/{layout.admin_socket}|0600",
            "enforce_origin": True,
            "origins": [ADMIN_ORIGIN],
            "config": {"persist": False},
        },
        "logging": {"logs": _logs(layout)},
        "storage": {"module": "file_system", "root": str(layout.storage)},
        "apps": {
            "http": {
                "http_port": layout.http_port,
                "https_port": layout.https_port,
                "servers": {
                    "http": _http_server(config, layout, token),
                    "https": _https_server(config, layout, token),
                },
            },
            "tls": render_tls_app(config, layout),
            "pki": render_pki_app(),
        },
    }


def probe_token(config: ProxyConfig) -> str:
    """Differs for every configuration that differs in more than addresses: a probe knows which one answers."""
    config = normalise(config)
    shape = [(replace(route, upstreams=()), slots(route)) for route in config.routes]
    return sha256(repr((shape, config.certificates, config.acme)).encode()).hexdigest()[:32]


def _http_server(config: ProxyConfig, layout: Layout, token: str) -> Json:
    def render_one(route: ProxyRoute) -> Json:
        if route.tls == "off":
            return render_route(route, layout, token)
        block = (
            render_https_redirect(route, layout, token) if route.https_redirect else render_route(route, layout, token)
        )
        return block | {"@id": PLAIN + route.id}

    return {
        **_server(layout.listeners(layout.http_port), render_sites(config.routes, render_one)),
        "protocols": ["h1"],
    }


def _https_server(config: ProxyConfig, layout: Layout, token: str) -> Json:
    secure = [route for route in config.routes if route.tls != "off"]
    wildcards = {route.hostname for route in secure if route.hostname.startswith("*.")}
    plain = dict.fromkeys(route.hostname for route in config.routes if route.tls == "off")
    closed = [render_closed_site(host) for host in plain if "*." + host.partition(".")[2] in wildcards]
    return {
        **_server(
            layout.listeners(layout.https_port),
            closed + render_sites(secure, lambda route: render_route(route, layout, token)),
        ),
        "protocols": ["h1", "h2", "h3"],
        "allow_0rtt": False,
        "tls_connection_policies": render_connection_policies(config),
    }


def _server(listeners: list[str], sites: list[Json]) -> Json:
    hygiene = {
        "handler": "headers",
        "request": {"delete": _SPOOFABLE_HEADERS},
        "response": {"deferred": True, "delete": ["Server", "Via"]},
    }
    return {
        "listen": listeners,
        "automatic_https": {"disable": True},
        "read_header_timeout": "30s",
        "idle_timeout": "2m",
        "max_header_bytes": 65536,
        "named_routes": named_routes(),
        "routes": [{"handle": [hygiene]}, *sites, {"handle": [{"handler": "invoke", "name": "unknown"}]}],
        "errors": {"routes": error_routes()},
    }


def _logs(layout: Layout) -> Json:
    default: Json = {"level": "INFO", "encoder": {"format": "json"}}
    if layout.log_to_file:
        default["writer"] = _log_file(layout.logs / "caddy.log", megabytes=10)
    failures = {
        "level": "ERROR",
        "encoder": {"format": "json"},
        "include": ["tls.obtain", "tls.renew", "tls.issuance.acme"],
        "writer": _log_file(layout.tls_log, megabytes=1),
    }
    return {"default": default, "tls": failures}


def _log_file(path: Path, *, megabytes: int) -> Json:
    return {"output": "file", "filename": str(path), "mode": "0600", "roll_size_mb": megabytes, "roll_keep": 3}
