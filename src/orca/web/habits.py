"""HTTP behaviour common to all URLs: HEAD wherever there is GET, OPTIONS, and the list of allowed methods."""

import json
from http import HTTPStatus

from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Handles HEAD like GET, without the body; the HTTP server still knows that the method is HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif message.get("more_body"):
                raise _Answered  # stop a stream: its body would never be read

        try:
            await self.app({**scope, "method": "GET"}, receive, send_head)
        except _Answered:
            pass
        except BaseExceptionGroup as group:
            if group.split(_Answered)[1] is not None:
                raise


class _Answered(BaseException):
    """Raised to stop the application once the head of the response is sent."""


def methods_at(request: Request) -> list[str]:
    """Return the methods that a URL accepts."""
    found: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        if getattr(context.original_route, "methods", None) and context.path_regex.fullmatch(request.url.path):
            found |= context.methods or set()
    found |= {"HEAD"} if "GET" in found else set()
    return sorted(found | {"OPTIONS"}) if found else []


def locate_result(request: Request, response: Response) -> None:
    """Set the Location of a created object, or of its progress: the URL at which its id can be read."""
    try:
        made = json.loads(bytes(response.body))
        identifier = made["id"]
    except (AttributeError, ValueError, KeyError, TypeError):  # a stream, a page, or an object without an id
        return
    path = request.url.path.rstrip("/")
    names = [path, f"/api/v1/{path.rpartition('/')[2]}"]
    if response.status_code == HTTPStatus.ACCEPTED:
        names.append("/api/v1/deployments")
    for place in (f"{name}/{identifier}" for name in names):
        if _is_readable(request, place):
            response.headers["Location"] = place
            return


def _is_readable(request: Request, path: str) -> bool:
    """Whether there is a GET route for a path."""
    return any(
        "GET" in (context.methods or ()) and context.path_regex.fullmatch(path)
        for context in iter_route_contexts(request.app.routes)
        if getattr(context.original_route, "methods", None)
    )
