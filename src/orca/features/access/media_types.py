"""The media types that a route accepts: a request with another one is refused before its body is read."""

from fastapi import params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.requests import Request

from orca.errors import BadInput, UnsupportedMediaType
from orca.features.access.csrf import SAFE_METHODS, media_type_of
from orca.kit.text import shorten

_JSON = "application/json"
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


def readable_types(route: APIRoute, *, is_page: bool) -> frozenset[str]:
    """Return the media types a route declares. Raw bodies are declared by `openapi_extra={"requestBody": ...}`."""
    extra = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    declared = frozenset(str(name).lower() for name in extra)
    body = route.body_field.field_info if route.body_field else None
    if isinstance(body, params.File):
        return declared | {"multipart/form-data"}
    if isinstance(body, params.Form) or (body is None and is_page):
        return declared | _FORMS
    return declared or frozenset({_JSON})


def check_media_type(request: Request, route: APIRoute, *, is_page: bool) -> None:
    """Raise UnsupportedMediaType when an unsafe request has a body of a type its route does not read."""
    if request.method in SAFE_METHODS or not _has_body(request):
        return
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise UnsupportedMediaType(f"Bodies are not read as {shorten(coding, 50)}.", hint="Send it uncompressed.")
    readable, given = readable_types(route, is_page=is_page), media_type_of(request)
    if given in readable or "*/*" in readable or (_JSON in readable and given.endswith("+json")):
        return
    raise UnsupportedMediaType(
        f"This route does not read {given or 'a body without Content-Type'}.",
        hint=f"Send {' or '.join(sorted(readable))}.",
    )


def check_query(request: Request, route: APIRoute, *, is_page: bool) -> None:
    """Raise BadInput for a query parameter that an API route does not know: ignoring a filter returns a wrong list."""
    if is_page or not route.include_in_schema or request.query_params == {} or route.path.startswith("/api/health"):
        return
    others = (params.Path, params.Header, params.Cookie)  # fields of a query model have none of these types
    known = {field.alias for field in get_flat_params(route.dependant) if not isinstance(field.field_info, others)}
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        there = f"It knows {', '.join(sorted(known))}." if known else "It knows none."
        name = shorten(unknown[0], 50)
        raise BadInput(f"this address knows no parameter {name}", hint=there, fields={name: "is not known here"})


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
