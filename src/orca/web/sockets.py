"""WebSockets, guarded like routes: nothing is accepted before its sender was admitted.

A refused handshake is answered like any request, by problem+json with the status of the refusal.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, WebSocketRoute
from starlette.types import Scope as AsgiScope
from starlette.websockets import WebSocket

from orca.db import DATABASE_AWAY
from orca.errors import OrcaError
from orca.events import origin
from orca.kit.ids import new_id
from orca.web.guard import Gate, Guard, Scope, Subject, guard_of, origin_of

log = structlog.get_logger("orca.web")
DrawFailure = Callable[[Request, Exception], Awaitable[Response]]
_HTTP = {"ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class AdmittedSocket:
    """An admitted WebSocket, not yet accepted: its subject, and the handshake as the request that it is."""

    socket: WebSocket
    request: Request
    guard: Guard
    subject: Subject

    @property
    def scope(self) -> Scope:
        """The part of the team that the subject reaches with the permission of the route."""
        return Scope(self.subject.team_id, self.subject.reach(self.guard.permission))

    async def is_still_admitted(self) -> bool:
        """Whether the subject still has the rights that it was admitted for."""
        gate: Gate = self.request.app.state.gate
        return await gate.still_admits(self.request, self.guard)


class GuardedSocket(WebSocketRoute):
    """A WebSocket that enforces its guard."""

    def __init__(self, path: str, endpoint: Callable[[AdmittedSocket], Awaitable[None]]) -> None:
        self.guard = replace(guard_of(endpoint), is_socket=True, streams=True)
        self._endpoint = endpoint
        super().__init__(path, self._serve, name=endpoint.__name__)

    def matches(self, scope: AsgiScope) -> tuple[Match, AsgiScope]:
        """Also name the route, as FastAPI does for its own."""
        match, found = super().matches(scope)
        return match, {**found, "route": self} if match != Match.NONE else found

    async def _serve(self, socket: WebSocket) -> None:
        request = _as_request(socket)
        request.state.guard = self.guard
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.state.request_id)
        token = origin.set(origin_of(request, None))
        try:
            subject = await self._admit(socket, request)
            if subject is not None:
                origin.set(origin_of(request, subject))
                log.info("socket", path=self.path)
                await self._endpoint(AdmittedSocket(socket, request, self.guard, subject))
        finally:
            request.app.state.gate.leave(request)
            origin.reset(token)

    async def _admit(self, socket: WebSocket, request: Request) -> Subject | None:
        """Return the subject; None after a refusal was answered."""
        try:
            async with asyncio.timeout(self.guard.seconds):
                subject: Subject | None = await request.app.state.gate.admit(request, self.guard)
        except (OrcaError, TimeoutError, *DATABASE_AWAY) as error:
            draw: DrawFailure = request.app.state.draw_failure
            await socket.send_denial_response(await draw(request, error))
            return None
        return subject


def _as_request(socket: WebSocket) -> Request:
    """Return the handshake as the GET request that it is, for checks that all requests share."""
    scope: dict[str, Any] = {
        **socket.scope, "type": "http", "method": "GET", "scheme": _HTTP.get(socket.scope["scheme"], "http"),
    }  # fmt: skip
    state = scope.setdefault("state", {})
    state["request_id"] = new_id()
    return Request(scope)
