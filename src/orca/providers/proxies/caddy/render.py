"""ProxyConfig in, Caddy's JSON out: pure, so that golden files can show every byte of it."""

import json
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.normalise import normalise
from orca.providers.proxies.caddy.pages import error_routes, named_routes
from orca.providers.proxies.caddy.sites import render_compression, render_sites
from orca.providers.proxies.caddy.tls import render_pki_app, render_tls_app
from orca.providers.proxies.caddy.upstreams import slots
from orca.sdk.proxies import ProxyConfig

Json = dict[str, Any]

ADMIN_ORIGIN = "orca-proxy"
SERVER = "sites"

CLIENT_HEADER = "X-Orca-Client"
"""The visitor's address, as the edge saw it; taken from the edge alone, and taken out before the service."""
TLS_HEADER = "X-Orca-Tls"
"""The version of TLS that the visitor spoke with the edge itself; empty for none."""
_SHUTDOWN_DELAY = "200ms"
"""How long a router that was replaced still takes requests that the edge was about to send there."""
_ESCAPED = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
"""What Go escapes in JSON besides what must be."""


def render(config: ProxyConfig, layout: Layout) -> Json:
    """Caddy's whole configuration. `config` must have passed `check_config`."""
    config = normalise(config)
    token = probe_token(config)
    return {
        "admin": {
            "listen": f"unix/{layout.router.admin_socket}|0600",
            "enforce_origin": True,
            "origins": [ADMIN_ORIGIN],
            "config": {"persist": False},
        },
        "logging": {"logs": log_settings(layout, "router") | {"tls": _failures_log(layout)}},
        "storage": {"module": "file_system", "root": str(layout.storage)},
        "apps": {
            "http": {
                "http_port": layout.http_port,
                "https_port": layout.https_port,
                "shutdown_delay": _SHUTDOWN_DELAY,
                "servers": {SERVER: _server(config, layout, token)},
            },
            "tls": render_tls_app(config, layout),
            "pki": render_pki_app(),
        },
    }


def spell(document: Json) -> bytes:
    """`document` as text, spelt the way Caddy tells it back, so that equal texts mean equal configurations."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_ESCAPED).encode()


@lru_cache(maxsize=4)
def probe_token(config: ProxyConfig) -> str:
    """Differs for every configuration that differs in more than addresses: a probe knows which one answers."""
    config = normalise(config)
    shape = [(replace(route, upstreams=()), slots(route)) for route in config.routes]
    return sha256(repr((shape, config.certificates, config.acme)).encode()).hexdigest()[:32]


def _server(config: ProxyConfig, layout: Layout, token: str) -> Json:
    """On a socket of its own for each configuration, so that the edge turns from one to the next at once."""
    return {
        "listen": [f"unix/{layout.router_socket(token)}|0600"],
        "automatic_https": {"disable": True},
        "idle_timeout": "5m",
        "max_header_bytes": 131072,
        "protocols": ["h1", "h2c"],
        "trusted_proxies_unix": True,
        "client_ip_headers": [CLIENT_HEADER],
        "named_routes": named_routes() | {"compress": {"handle": [render_compression()]}},
        "routes": [
            {"handle": [{"handler": "headers", "response": {"deferred": True, "delete": ["Server", "Via"]}}]},
            *render_sites(config.routes, layout, token),
            {"handle": [{"handler": "invoke", "name": "unknown"}]},
        ],
        "errors": {"routes": error_routes()},
    }


def log_settings(layout: Layout, name: str) -> Json:
    """A program's own log."""
    default: Json = {"level": "INFO", "encoder": {"format": "json"}}
    if layout.log_to_file:
        default["writer"] = _log_file(layout.logs / f"{name}.log", megabytes=10)
    return {"default": default}


def _failures_log(layout: Layout) -> Json:
    return {
        "level": "ERROR",
        "encoder": {"format": "json"},
        "include": ["tls.obtain", "tls.renew", "tls.issuance.acme"],
        "writer": _log_file(layout.tls_log, megabytes=1),
    }


def _log_file(path: Path, *, megabytes: int) -> Json:
    return {"output": "file", "filename": str(path), "mode": "0600", "roll_size_mb": megabytes, "roll_keep": 3}
