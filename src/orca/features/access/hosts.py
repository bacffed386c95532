"""Checks that the Host header names this panel: other names that point here (DNS rebinding) are refused."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from orca.errors import MisdirectedRequest
from orca.settings import Settings
from orca.web.errors import draw_problem

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")
_POLICY_VIOLATION = 1008


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Return the names and addresses under which the panel answers, without ports."""
    names = {"localhost", "127.0.0.1", "::1", urlsplit(settings.panel_url).hostname or "", settings.host}
    names.update(name.strip("[]") for name in settings.allowed.hosts)
    return frozenset(name.lower() for name in names if name and not _is_any_address(name))


def host_name(header: str) -> str | None:
    """Return the host of a Host header in lower case without port and brackets, or None when it is malformed."""
    match = _HOST.fullmatch(header.strip().lower())
    return match[1].strip("[]") if match else None


class HostAllowList:
    """Answers 421 on every route, static files included, unless the Host header is one of ours."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self.allowed = allowed_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward requests whose Host is allowed, and all requests from the private socket."""
        if scope["type"] not in {"http", "websocket"} or scope.get("orca.local") is True or self._is_ours(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            error = MisdirectedRequest(
                "This panel does not answer under this host name.",
                hint="Open it under its own URL, or add the name to ORC_ALLOWED_HOSTS.",
            )
            await draw_problem(Request(scope), error)(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        return len(hosts) == 1 and host_name(hosts[0]) in self.allowed


def _is_any_address(name: str) -> bool:
    try:
        return ip_address(name).is_unspecified
    except ValueError:
        return False
