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
from orca.providers.proxies.caddy.tls import render_connection_policies, render_pki_app, render_tls_app
from orca.providers.proxies.caddy.upstreams import slots
from orca.sdk.proxies import ProxyConfig

Json = dict[str, Any]

ADMIN_ORIGIN = "orca-proxy"
SERVER = "sites"

# Who the visitor is, and where from, is for this proxy to say. Underscores reach CGI-like servers as hyphens would.
_SPOOFABLE_HEADERS = [
    "*_*", "Forwarded", "X-Forwarded-*", "X-Real-Ip", "X-Remote-*", "Remote-*", "X-Auth-Request-*", "X-Webauth-*",
    "X-Authenticated-*", "X-Original-*", "X-Rewrite-Url", "Proxy",
]  # fmt: skip
_ESCAPED = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
"""What Go escapes in JSON besides what must be."""


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
    """One for both ports, because the work of a load grows with each route of each server.

    Caddy speaks plain HTTP on `http_port`, TLS on the other.
    """
    hygiene = {
        "handler": "headers",
        "request": {"delete": _SPOOFABLE_HEADERS},
        "response": {"deferred": True, "delete": ["Server", "Via"]},
    }
    # HTTP/3 is offered where it is: over TLS.
    plain = {"handler": "headers", "response": {"deferred": True, "delete": ["Alt-Svc"]}}
    return {
        "listen": layout.listeners(layout.http_port) + layout.listeners(layout.https_port),
        "automatic_https": {"disable": True},
        "read_header_timeout": "30s",
        "idle_timeout": "2m",
        "max_header_bytes": 65536,
        "protocols": ["h1", "h2", "h3"],
        "allow_0rtt": False,
        "tls_connection_policies": render_connection_policies(config),
        "named_routes": named_routes() | {"compress": {"handle": [render_compression()]}},
        "routes": [
            {"handle": [hygiene]},
            {"match": [{"protocol": "http"}], "handle": [plain]},
            *render_sites(config.routes, layout, token),
            {"handle": [{"handler": "invoke", "name": "unknown"}]},
        ],
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
