"""Middleware of every request: an id, a nonce, security headers, a log line, metrics."""

import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orca.kit.ids import new_id

log = structlog.get_logger("orca.web")
DrawCrash = Callable[[Request, Exception], Awaitable[Response]]

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send `Origin: null` for our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_HSTS = "max-age=63072000; includeSubDomains"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


class HttpMetrics:
    """The HTTP metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "orc_http_requests", "HTTP requests answered.", ["method", "path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "orc_http_request_duration_seconds", "Time to the first byte.", ["method", "path"], registry=registry
        )


class RequestContext:
    """Outermost middleware of the app."""

    def __init__(self, app: ASGIApp, *, is_https: bool, metrics: HttpMetrics, draw_crash: DrawCrash) -> None:
        self.app = app
        self.draw_crash = draw_crash
        self.is_https = is_https
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"], state["nonce"] = new_id(), secrets.token_urlsafe(16)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=state["request_id"])
        started, is_answered = time.perf_counter(), False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                self._finish(scope, message, state, time.perf_counter() - started)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            # Handled here, because Starlette's own handler responds outside of this middleware, without these headers.
            if is_answered:
                raise
            response = await self.draw_crash(Request(scope), error)
            await response(scope, receive, send_with_headers)

    def _finish(self, scope: Scope, message: Message, state: MutableMapping[str, Any], seconds: float) -> None:
        present = {name.lower() for name, _ in message["headers"]}
        for name, value in self._headers(state).items():
            if name.lower().encode() not in present:
                message["headers"].append((name.lower().encode(), value.encode()))
        if message["status"] == HTTPStatus.NO_CONTENT:
            message["headers"][:] = [pair for pair in message["headers"] if pair[0].lower() != b"content-type"]
        route = scope.get("route")
        path, method = getattr(route, "path", "other"), name_method(scope)
        self.metrics.requests.labels(method, path, str(message["status"])).inc()
        self.metrics.seconds.labels(method, path).observe(seconds)
        log.info(
            "request",
            method=method,
            path=path,
            status=message["status"],
            milliseconds=round(seconds * 1000, 1),
        )

    def _headers(self, state: MutableMapping[str, Any]) -> dict[str, str]:
        headers = {
            **_SECURITY_HEADERS,
            "Content-Security-Policy": content_security_policy(state["nonce"]),
            "X-Request-ID": state["request_id"],
            "Cache-Control": "no-store",
        }
        return headers | ({"Strict-Transport-Security": _HSTS} if self.is_https else {})


def name_method(scope: Scope) -> str:
    """Return a standard HTTP method, or `other`: a request may contain any text there, and labels must stay few."""
    return scope["method"] if scope["method"] in _METHODS else "other"


def content_security_policy(nonce: str) -> str:
    """Return the policy: no foreign sources, no inline code; scripts only with this response's nonce."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "object-src 'none'; require-trusted-types-for 'script'"
    )
