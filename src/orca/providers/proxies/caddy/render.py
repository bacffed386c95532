"""Renders ProxyConfig as Caddy's JSON. Pure, so that golden files can show every byte of it."""

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
"""The visitor's address as the edge saw it; accepted from the edge only, and removed before the service."""
TLS_HEADER = "X-Orca-Tls"
"""The TLS version of the visitor's connection to the edge itself; empty for none."""
_SHUTDOWN_DELAY = "200ms"
"""How long a replaced router still accepts requests that the edge was about to send to it."""
_ESCAPED = {char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
"""Characters that Go escapes in JSON although the standard does not require it."""


def render(config: ProxyConfig, layout: Layout) -> Json:
    """Return Caddy's whole configuration. `config` must have passed `check_config`."""
    config = normalise(config)
    token = probe_token(config)
    return {
        "admin": {
            "listen": f"unix/{layout.router.admin_socket}|0600",
            "enforce_origin": True,
            "origins": [ADMIN_ORIGIN],
            "config": {"persist": False},
        },
        "logging": {"logs": log_settings(layout, "router")},
        "storage": {"module": "file_system", "root": str(layout.storage)},
        "apps": {
            "http": {
                "http_port": layout.http_port,
                "https_port": layout.https_port,
                "shutdown_delay": _SHUTDOWN_DELAY,
                "servers": {SERVER: _server(config, layout, token)},
            },
            "tls": render_tls_app(config),
            "pki": render_pki_app(),
        },
    }


def spell(document: Json) -> bytes:
    """Serialise `document` exactly as Caddy returns it, so that equal texts mean equal configurations."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char, escaped in _ESCAPED.items():  # `translate` is fifty times slower
        text = text.replace(char, escaped)
    return text.encode()


@lru_cache(maxsize=4)
def probe_token(config: ProxyConfig) -> str:
    """Return a token that identifies a configuration apart from its addresses; a probe sees by it which one answers."""
    config = normalise(config)
    shape = [(replace(route, upstreams=()), slots(route)) for route in config.routes]
    return sha256(repr((shape, config.certificates)).encode()).hexdigest()[:32]


def _server(config: ProxyConfig, layout: Layout, token: str) -> Json:
    """Return the router's server. Each configuration has its own socket, so that the edge switches at once."""
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
    """Return the settings of a program's own log."""
    default: Json = {"level": "INFO", "encoder": {"format": "json"}}
    if layout.log_to_file:
        default["writer"] = _log_file(layout.logs / f"{name}.log")
    return {"default": default}


def _log_file(path: Path) -> Json:
    return {"output": "file", "filename": str(path), "mode": "0600", "roll_size_mb": 10, "roll_keep": 3}
