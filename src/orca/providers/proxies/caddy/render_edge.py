"""The configuration of the edge: the Caddy that owns the ports, the connections and the TLS handshakes.

It is the same for any set of routes, so a change of routes never replaces it. It reads what changes from files: the
router's current socket for each request, and the certificate of the server name for each handshake.
"""

import json
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.pages import page
from orca.providers.proxies.caddy.render import ADMIN_ORIGIN, CLIENT_HEADER, TLS_HEADER, log_settings

Json = dict[str, Any]

SERVER = "edge"
CERTIFICATES = "certificates"

# Only this proxy may set the visitor's address and protocol. CGI-like servers treat underscores like hyphens.
_SPOOFABLE = [
    "*_*", "Forwarded", "X-Real-Ip", "X-Remote-*", "Remote-*", "X-Auth-Request-*", "X-Webauth-*", "X-Authenticated-*",
    "X-Original-*", "X-Rewrite-Url", "Proxy", CLIENT_HEADER, TLS_HEADER,
]  # fmt: skip
_OF_PROXIES = ["X-Forwarded-*", "Cf-Connecting-Ip", "True-Client-Ip"]
"""Headers that are accepted only from a trusted proxy in front."""
_TUNNELS = r"(?i)(^|[\s,])(h2|http/|tls/)"
"""Protocols that a server may upgrade to by itself (RFC 7540, 3.2): requests inside of such a connection would bypass
all rules and the removal of headers. WebSockets are for the application to accept.
"""
_ROUTER_PATIENCE = 5_000_000_000
"""Nanoseconds for which a request waits for a router that is being restarted."""
_LONGEST_STREAM = "24h"
_SMALL_LENGTH, _SMALL_BODY = "^[0-9]{1,5}$", 100_000
"""Lengths and the size of the bodies that are kept until they are answered, to be sent again."""

_CERTIFICATE_PAGE = """\
{{- $asked := trimSuffix "." (lower (.Req.URL.Query.Get "server_name")) -}}
{{- $file := "" -}}
{{- range $name := list $asked "DEFAULT" -}}
{{- if and (not $file) (regexMatch "^[a-z0-9.-]+$" $name) -}}
{{- $own := printf "names/%s" $name -}}
{{- $wildcard := printf "names/_%s" (regexReplaceAll "^[^.]+" $name "") -}}
{{- if fileExists $own}}{{$file = $own}}{{else if fileExists $wildcard}}{{$file = $wildcard}}{{end -}}
{{- end -}}
{{- end -}}
{{- if not $file}}{{httpError 404}}{{end -}}
{{- $text := readFile $file -}}
{{- $stored := "" -}}
{{- range $path := splitList "\\n" $text -}}
{{- if and (not $stored) (fileExists (printf "%s.crt" $path))}}{{$stored = $path}}{{end -}}
{{- end -}}
{{- if contains "-----BEGIN" $text}}{{$text}}
{{- else if $stored}}{{readFile (printf "%s.crt" $stored)}}{{readFile (printf "%s.key" $stored)}}
{{- else}}{{httpError 404}}{{end -}}
"""
"""Caddy's template that looks up the certificate and key of a name in the files of `render_names`. One template for
all names and no `include`, because compiling a template takes most of a millisecond.
"""


def render_certificate_page(layout: Layout) -> str:
    """Return the template, with the default name, whose certificate is used for names that have none."""
    return _CERTIFICATE_PAGE.replace("DEFAULT", layout.default_hostname or "")


@dataclass(frozen=True, slots=True)
class CertificateDoor:
    """The address from which the edge gets certificates, served by itself. Caddy supports only TCP, hence the token."""

    port: int
    token: str

    @classmethod
    def at(cls, port: int) -> "CertificateDoor":
        """Create one with a new token, which only the edge's configuration contains."""
        return cls(port, secrets.token_urlsafe(32))

    @classmethod
    def of(cls, document: Json) -> "CertificateDoor":
        """Return the one of a running edge. Raises ValueError if the document has none."""
        try:
            url = document["apps"]["tls"]["automation"]["policies"][0]["get_certificate"][0]["url"]
            address, _, token = str(url).removeprefix("http://").partition("/")
            return cls(int(address.rpartition(":")[2]), token)
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError("not an edge made by Orca") from error


def render_edge(layout: Layout, door: CertificateDoor) -> Json:
    """Return the edge's whole configuration."""
    policy: Json = {"get_certificate": [{"via": "http", "url": f"http://127.0.0.1:{door.port}/{door.token}"}]}
    return {
        "admin": {
            "listen": f"unix/{layout.edge.admin_socket}|0600",
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
                "servers": {SERVER: _server(layout), CERTIFICATES: _certificates(layout, door)},
            },
            "tls": {
                # This permission endpoint never grants anything; without one Caddy would order certificates by itself.
                "automation": {
                    "policies": [policy],
                    "on_demand": {"permission": {"module": "http", "endpoint": f"http://127.0.0.1:{door.port}/"}},
                },
                "disable_ocsp_stapling": True,
                "disable_storage_check": True,
            },
        },
    }


def fingerprint(document: Json) -> str:
    """Return a hash that is equal for equivalent edges, without the port and token that differ with each start."""
    text = json.dumps(document, sort_keys=True)
    door = CertificateDoor.of(document)
    return sha256(text.replace(door.token, "").replace(f":{door.port}", "").encode()).hexdigest()


def _logs(layout: Layout) -> Json:
    """Return the log settings, which suppress a line per handshake with a name that this machine does not serve."""
    logs = log_settings(layout, "edge")
    logs["default"]["exclude"] = ["tls.handshake"]
    return logs


def _server(layout: Layout) -> Json:
    trusted: Json = {}
    if layout.trusted_proxies:
        ranges = {"source": "static", "ranges": list(layout.trusted_proxies)}
        # Strict: of several addresses the last one that is not a trusted proxy's, because a client can forge the first.
        trusted = {"trusted_proxies": ranges, "trusted_proxies_strict": 1}
    if layout.proxy_protocol:
        reader = {"wrapper": "proxy_protocol", "timeout": "5s", "allow": list(layout.trusted_proxies)}
        trusted["listener_wrappers"] = [reader, {"wrapper": "tls"}]
    return trusted | {
        "listen": layout.listeners(layout.http_port) + layout.listeners(layout.https_port),
        "automatic_https": {"disable": True},
        "read_header_timeout": "30s",
        "idle_timeout": "2m",
        "max_header_bytes": 65536,
        "protocols": ["h1", "h2", "h3"],
        "allow_0rtt": False,
        "tls_connection_policies": [{}],
        "routes": [_challenges(layout), *_hygiene(layout), *_to_router(layout)],
        "errors": {"routes": _errors()},
    }


def _challenges(layout: Layout) -> Json:
    """Serve the responses to ACME challenges (RFC 8555, 8.3) of any name, while there is a file for one."""
    root = str(layout.challenges)
    file = {"root": root, "try_files": ["/{http.request.uri.path.file}"]}
    return {
        "match": [{"protocol": "http", "path": ["/.well-known/acme-challenge/*"], "file": file}],
        "handle": [
            {"handler": "rewrite", "uri": "/{http.request.uri.path.file}"},
            {"handler": "headers", "response": {"set": {"Content-Type": ["application/octet-stream"]}}},
            {"handler": "file_server", "root": root},
        ],
        "terminal": True,
    }


def _hygiene(layout: Layout) -> list[Json]:
    # HTTP/3 is advertised only over TLS, where it exists, and once, even with several listening addresses.
    alternative = f'h3=":{layout.https_port}"; ma=2592000'
    offered = {"deferred": True, "delete": ["Server", "Via"], "set": {"Alt-Svc": [alternative]}}
    plain = {"deferred": True, "delete": ["Server", "Via", "Alt-Svc"]}
    dot = {"Host": {"name": "host", "pattern": r"^([^:]+)\.(:\d+)?$"}}
    proxies = {"remote_ip": {"ranges": list(layout.trusted_proxies)}}
    strangers = {"match": [{"not": [proxies]}]} if layout.trusted_proxies else {}
    return [
        {"handle": [{"handler": "headers", "request": {"delete": _SPOOFABLE}}]},
        {
            "match": [{"header_regexp": {"Upgrade": {"name": "upgrade", "pattern": _TUNNELS}}}],
            "handle": [{"handler": "headers", "request": {"delete": ["Upgrade", "Http2-Settings"]}}],
        },
        strangers | {"handle": [{"handler": "headers", "request": {"delete": _OF_PROXIES}}]},
        {"match": [{"protocol": "https"}], "handle": [{"handler": "headers", "response": offered}]},
        {"match": [{"protocol": "http"}], "handle": [{"handler": "headers", "response": plain}]},
        {
            # `example.org.` is the absolute form of `example.org`.
            "match": [{"header_regexp": dot}],
            "handle": [
                {"handler": "headers", "request": {"set": {"Host": ["{http.regexp.host.1}{http.regexp.host.2}"]}}}
            ],
        },
    ]


def _to_router(layout: Layout) -> list[Json]:
    """Forward to the router over HTTP/1.1, which WebSockets need; gRPC needs HTTP/2 on all connections."""
    grpc = {"header": {"Content-Type": ["application/grpc*"]}}
    small = {"header_regexp": {"Content-Length": {"name": "length", "pattern": _SMALL_LENGTH}}}
    return [
        {"match": [grpc], "handle": [_proxy(layout, versions=["h2c"])], "terminal": True},
        {"match": [small], "handle": [_repeating(layout)], "terminal": True},
        {"handle": [_proxy(layout)]},
    ]


def _repeating(layout: Layout) -> Json:
    """Send a request of any method again to the new socket when the router hung up on it because its servers for the
    old socket ended: Go's `Shutdown` never hangs up on a request that it has begun to serve, so it reached no service.
    """
    proxy = _proxy(layout)
    switched = {"not": [{"vars": {"{http.reverse_proxy.upstream.address}": [f"{{file.{layout.next}}}"]}}]}
    proxy["load_balancing"]["retry_match"] = [{"method": ["GET", "HEAD"]}, switched]
    return proxy | {"request_buffers": _SMALL_BODY}


def _proxy(layout: Layout, **transport: Any) -> Json:
    told = {CLIENT_HEADER: ["{http.vars.client_ip}"], TLS_HEADER: ["{http.request.tls.version}"]}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"{{file.{file}}}"} for file in (layout.next, layout.current)],
        "transport": {
            "protocol": "http",
            "dial_timeout": "3s",
            "compression": False,
            # Shorter than the router's own timeout, so that the router never closes a connection that gets a request.
            "keep_alive": {"idle_timeout": "1m", "max_idle_conns_per_host": 256},
            **transport,
        },
        # The next configuration is used as soon as it listens, hundreds of milliseconds before the current one ends.
        "load_balancing": {
            "selection_policy": {"policy": "first"},
            "try_duration": _ROUTER_PATIENCE,
            "try_interval": "5ms",
        },
        "health_checks": {"passive": {"fail_duration": "10ms", "max_fails": 1}},
        "headers": {"request": {"set": told}},
        "flush_interval": -1,
        "stream_close_delay": _LONGEST_STREAM,
    }


def _errors() -> list[Json]:
    status = "{http.error.status_code}"
    return [
        {"handle": [{"handler": "headers", "response": {"delete": ["Server", "Via"]}}]},
        {
            "match": [{"vars": {status: ["502", "503", "504"]}}],
            "handle": [
                page(status, "This server is starting", "Its sites will answer in a moment. Try again.", retry_after=10)
            ],
        },
        {"handle": [page(status, f"{status} {{http.error.status_text}}", "The request could not be served.")]},
    ]


def _certificates(layout: Layout, door: CertificateDoor) -> Json:
    """Return the server that handshakes query: it returns the certificate and key of a name, or 404."""
    return {
        "listen": [f"tcp4/127.0.0.1:{door.port}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        "routes": [
            {
                "match": [{"path": [f"/{door.token}"]}],
                "handle": [
                    {"handler": "rewrite", "uri": f"/{layout.certificate_page.name}?{{http.request.uri.query}}"},
                    {"handler": "templates", "file_root": str(layout.data_dir), "mime_types": ["text/plain"]},
                    {"handler": "file_server", "root": str(layout.data_dir)},
                ],
                "terminal": True,
            },
            {"handle": [{"handler": "static_response", "status_code": 403}]},
        ],
    }
