"""The OpenAPI document: FastAPI's description of the routes, completed by guards and errors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from starlette.routing import BaseRoute

from orca.kit.fields import Output
from orca.web.guard import ANYONE, SIGNED_IN, Guard, GuardedRoute
from orca.web.openapi_examples import EXAMPLES, STREAMS

API_DESCRIPTION = """Everything the pages and the `orc` command do, they do through this API.

Sign in with `Authorization: Bearer <API token>`. Errors are `application/problem+json` (RFC 9457) with a stable `code`
and, where there is one, a `hint` that says what to do next. Lists are pages: follow `next_cursor`.

Terminals are a WebSocket at `/api/v1/services/{service_id}/terminal`, which OpenAPI has no words for: see
`docs/shell.md`.
"""
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"session": []}]
_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token: `orc tokens create NAME`."},
    "session": {"type": "apiKey", "in": "cookie", "name": "orca_session", "description": "A signed-in browser."},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "description": "Repeats a request whose answer was lost: what was done under this key is not done again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]*$"},
}  # fmt: skip


class Problem(Output):
    """A failure as RFC 9457 describes it, with a stable `code` and, where there is one, the next step as `hint`."""

    type: str = Field(examples=["/docs/errors#not-found"])
    title: str
    status: int
    code: str = Field(description="Stable; /docs/errors explains each.", examples=["not-found"])
    detail: str
    request_id: str
    hint: str = ""
    fields: dict[str, str] = Field({}, description="For bad input: where it is, and what is wrong with it.")


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message that Orca sends to webhooks."""

    name: str
    summary: str
    model: type[BaseModel]


def describe_api(app: FastAPI) -> dict[str, Any]:
    """Return the document, which is built once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes,
            webhooks=_make_receivers(app.state.describe_messages()),
        )  # fmt: skip
        _complete(document, app)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(document: dict[str, Any], app: FastAPI) -> None:
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["securitySchemes"] = _SCHEMES
    document["components"]["parameters"] = {"IdempotencyKey": _IDEMPOTENCY_KEY}
    document["security"] = _SECURITY
    document["servers"] = [{"url": app.state.settings.panel_url}]
    document["info"] |= {"license": {"name": "MIT", "identifier": "MIT"}, "contact": {"name": "The Orca authors"}}
    _require_discriminators(schemas)
    _describe_defaults(document)
    _shorten(schemas)
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    guards = _guards(app)
    for path, method, operation in _operations(document):
        _describe(operation, guards[path, method], method, has_parameters="{" in path)
        if operation["operationId"] in STREAMS:
            _describe_stream(operation)
    for item in document["webhooks"].values():
        _describe_receiver(item["post"])
    document["tags"] = app.openapi_tags


def _make_receivers(messages: Sequence[OutgoingMessage]) -> list[BaseRoute]:
    """Return a route for each message that Orca sends, as its receiver would declare it: only for the document."""
    router = APIRouter(tags=["webhooks"])
    for message in messages:

        def receive(body: Any) -> None: ...

        receive.__annotations__["body"] = message.model
        name = f"receive_{message.name.replace('.', '_')}"
        router.add_api_route(
            message.name, receive, methods=["POST"], name=name, operation_id=name, summary=message.summary
        )  # fmt: skip
    return list(router.routes)


def _describe_receiver(operation: dict[str, Any]) -> None:
    """Describe the signature of a message, and which answer counts."""
    headers = {
        "webhook-id": "The same for each try of one message: by it a receiver knows what it has had already.",
        "webhook-timestamp": "When this try was signed, in seconds since 1970.",
        "webhook-signature": "`v1,` and the base64 of HMAC-SHA256 over id, timestamp and body, joined by dots.",
    }
    operation["parameters"] = [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in headers.items()
    ]
    operation["security"] = []
    operation["responses"] = {"2XX": {"description": "Taken."}, "default": {"description": "Not taken: tried again."}}


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
    """Describe who may call an operation, whether it may be repeated by a key, and how it may fail."""
    if method == "post" and declared.takes_idempotency_key:
        operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/IdempotencyKey"})
    is_open = declared.permission in ANYONE
    if is_open:
        operation["security"] = []
    failures: set[int] = {421} if is_open and declared.rate == "none" else {429, 503}
    failures |= {401} if not is_open or declared.rate in {"login", "webhook", "claim"} else set()
    failures |= {403} if declared.permission not in {*ANYONE, SIGNED_IN} else set()
    failures |= {404} if has_parameters and declared.rate != "webhook" else set()
    failures |= {422} if has_parameters or operation.get("parameters") or "requestBody" in operation else set()
    failures |= {400, 413, 415} if "requestBody" in operation else set()
    failures |= {409} if method != "get" else set()
    responses = operation["responses"]
    responses.pop("422", None)
    for status in sorted(failures):
        responses.setdefault(str(status), _problem(HTTPStatus(status).phrase))
    responses["default"] = _problem("Any other failure")


def _describe_stream(operation: dict[str, Any]) -> None:
    """Describe the events of a stream and their JSON data by an extension, as OpenAPI has no field for that."""
    content = operation["responses"]["200"]["content"]["text/event-stream"]
    events = {
        name: {"type": "object", "properties": dict(properties)}
        for name, properties in STREAMS[operation["operationId"]].items()
    }
    content |= {"schema": {"type": "string", "description": f"Events: {', '.join(events)}."}, "x-events": events}


def _shorten(schemas: Mapping[str, Any]) -> None:
    """Remove titles that only repeat the name of a field, which are a tenth of the document."""
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            field.pop("title", None)


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def _describe_defaults(document: Mapping[str, Any]) -> None:
    """Move the defaults of request bodies into their descriptions: generators make fields with a default required."""
    schemas = document["components"]["schemas"]
    bodies = [operation["requestBody"] for _, _, operation in _operations(document) if "requestBody" in operation]
    names = _references(bodies)
    while found := {name for known in names for name in _references(schemas[known])} - names:
        names |= found
    for name in names:
        for field in schemas[name].get("properties", {}).values():
            default = field.pop("default", None)
            if default not in (None, "", [], {}) and "const" not in field:
                told = f"Default: `{json.dumps(default, ensure_ascii=False)}`."
                field["description"] = f"{field.get('description', '')} {told}".strip()


def _references(value: Any) -> set[str]:
    return {found["$ref"].rsplit("/", 1)[-1] for found in _dicts(value) if isinstance(found.get("$ref"), str)}


def _require_discriminators(schemas: Mapping[str, Any]) -> None:
    """Make the discriminators of union bodies required, even where the model has a default."""
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
