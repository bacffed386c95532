"""The OpenAPI document: what FastAPI knows of the routes, and what guards and errors add to it."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, Field

from orca.web.guard import PUBLIC, SIGNED_IN, UNCLAIMED, Guard, GuardedRoute

_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"session": []}]
_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token: `orc tokens create NAME`."},
    "session": {"type": "apiKey", "in": "cookie", "name": "orca_session", "description": "A signed-in browser."},
}
_TAGS = {
    "access": "API tokens.", "audit": "What happened, and who did it.", "deployments": "Deployments and releases.",
    "health": "Probes and numbers.", "identity": "Signing in, and one's own account.", "projects": "Projects.",
    "routing": "Hostnames and certificates.", "running": "What runs now: containers, output, one-off commands.",
    "schemas": "Schemas of files that people write.", "services": "Services.",
    "sources": "Credentials, uploads and push hooks.",
    "variables": "Variables of projects and services.", "volumes": "Data that outlives containers.",
}  # fmt: skip


class Problem(BaseModel):
    """A failure as RFC 9457 describes it, with a stable `code` and, where there is one, the next step as `hint`."""

    type: str = Field(examples=["/docs/errors#not-found"])
    title: str
    status: int
    code: str = Field(description="Stable; /docs/errors explains each.", examples=["not-found"])
    detail: str
    request_id: str
    hint: str = ""
    fields: dict[str, str] = Field({}, description="For bad input: where it is, and what is wrong with it.")


def name_operation(route: APIRoute) -> str:
    """The id of an operation: the name of its function, such as `create_deployment`."""
    return str(route.name)


def describe_api(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _complete(document, app)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(document: dict[str, Any], app: FastAPI) -> None:
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["securitySchemes"] = _SCHEMES
    document["security"] = _SECURITY
    document["servers"] = [{"url": app.state.settings.panel_url}]
    _require_discriminators(schemas)
    guards = _guards(app)
    used: set[str] = set()
    for path, method, operation in _operations(document):
        used.update(operation.get("tags", ()))
        _describe(operation, guards[path, method], method, has_parameters="{" in path)
    document["tags"] = [{"name": name, "description": _TAGS.get(name, name)} for name in sorted(used)]


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in _METHODS & item.keys():
            yield path, method, item[method]


def _guards(app: FastAPI) -> dict[tuple[str, str], Guard]:
    found = {}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, GuardedRoute):
            for method in route.methods or ():
                found[str(context.path_format), method.lower()] = route.guard
    return found


def _describe(operation: dict[str, Any], declared: Guard, method: str, *, has_parameters: bool) -> None:
    """Who may ask, and how it may fail."""
    is_open = declared.permission in {PUBLIC, UNCLAIMED}
    if is_open:
        operation["security"] = []
    failures: set[int] = set() if is_open and declared.rate == "none" else {429, 503}
    failures |= {401} if not is_open or declared.rate in {"login", "webhook", "claim"} else set()
    failures |= {403} if declared.permission not in {PUBLIC, UNCLAIMED, SIGNED_IN} else set()
    failures |= {404} if has_parameters and declared.rate != "webhook" else set()
    failures |= {422} if has_parameters or operation.get("parameters") or "requestBody" in operation else set()
    failures |= {400, 413, 415} if "requestBody" in operation else set()
    failures |= {409} if method != "get" else set()
    responses = operation["responses"]
    responses.pop("422", None)
    for status in sorted(failures):
        responses.setdefault(str(status), _problem(HTTPStatus(status).phrase))
    responses["default"] = _problem("Any other failure")


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def _require_discriminators(schemas: Mapping[str, Any]) -> None:
    """What tells apart the forms of a body must be in it, whatever default the model itself has."""
    for found in _dicts(schemas):
        teller = found.get("discriminator")
        if not isinstance(teller, dict) or "mapping" not in teller:
            continue
        for reference in teller["mapping"].values():
            schema = schemas[reference.rsplit("/", 1)[-1]]
            schema["required"] = sorted({*schema.get("required", []), teller["propertyName"]})


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            yield current
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)
