"""The few pages that Caddy serves itself: small, without scripts, for light and dark mode."""

from base64 import b64encode
from hashlib import sha256
from html import escape, unescape
from typing import Any

Json = dict[str, Any]

NAME = "{http.vars.orca_name}"
"""The placeholder of the service's name in a page; each route sets it."""

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;"
    "font:16px/1.5 system-ui,sans-serif;background:#f7f8fa;color:#1c2330}"
    "main{max-width:32rem;padding:2rem}"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem;overflow-wrap:anywhere}"
    "p{margin:0;color:#4a5568}"
    "@media(prefers-color-scheme:dark){body{background:#12151c;color:#e8ebf0}p{color:#a3adbd}}"
)
_POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"


def quote_title(title: str) -> str:
    """Escape a title as HTML without braces, so that Caddy finds no placeholder in it."""
    return escape(title).replace("{", "&#123;").replace("}", "&#125;").replace("\\", "&#92;")


def unquote_title(text: str) -> str:
    """The inverse of `quote_title`."""
    return unescape(text)


def page(status: int | str, heading: str, text: str, *, retry_after: int | None = None) -> Json:
    """Return a handler that serves one page. `heading` may contain `NAME`."""
    headers = {
        "Content-Type": ["text/html; charset=utf-8"],
        "Cache-Control": ["no-store"],
        "Content-Security-Policy": [_POLICY],
        "X-Content-Type-Options": ["nosniff"],
    }
    if retry_after is not None:
        headers["Retry-After"] = [str(retry_after)]
    return {
        "handler": "static_response",
        "status_code": status,
        "headers": headers,
        "body": (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{heading}</title><style>{_STYLE}</style></head>"
            f"<body><main><h1>{heading}</h1><p>{text}</p></main></body></html>"
        ),
    }


def named_routes() -> Json:
    """Return the pages that routes invoke by name, so that a configuration contains each page only once."""
    return {
        "down": {
            "handle": [
                page(503, f"{NAME} is down", "The service is not running right now. Try again soon.", retry_after=10)
            ]
        },
        "maintenance": {
            "handle": [
                page(503, f"{NAME} is under maintenance", "It will be back. Try again in a while.", retry_after=120)
            ]
        },
        "forbidden": {
            "handle": [page(403, "Not from this address", f"{NAME} may be visited from certain networks only.")]
        },
        "unclear": {
            "handle": [page(400, "Which page is meant?", "The path of this address can be read in several ways.")]
        },
        "unknown": {"handle": [page(404, "Nothing lives here", "No site is set up for this address on this server.")]},
    }


def error_routes() -> list[Json]:
    """Return the routes for failed handlers, such as an unreachable service; a service's own errors are not changed."""
    status = "{http.error.status_code}"
    return [
        {"handle": [{"handler": "headers", "response": {"delete": ["Server", "Via"]}}]},
        {
            "match": [{"vars": {status: ["502", "503", "504"]}}],
            "handle": [
                page(
                    status,
                    f"{NAME} is not answering",
                    "The service is down or too slow. Try again soon.",
                    retry_after=10,
                )
            ],
        },
        {"handle": [page(status, f"{status} {{http.error.status_text}}", "The request could not be served.")]},
    ]
