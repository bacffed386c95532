"""The API, described for programs (OpenAPI) and for people, to whoever is signed in."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from orca.web.guard import SIGNED_IN, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the reference."""

    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[tuple[str, str, str, bool], ...]
    """Name, place, description, whether it is required."""
    body: str
    answers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReferencePage:
    """All operations by tag."""

    introduction: str
    groups: dict[str, list[Operation]]


@router.get("/api/openapi.json")
@guard(SIGNED_IN)
async def openapi(request: Request) -> JSONResponse:
    """The OpenAPI 3.1 document."""
    return JSONResponse(request.app.openapi())


@router.get("/api/docs")
@guard(SIGNED_IN, page=True)
async def docs(request: Request) -> Response:
    """The same for people."""
    document = request.app.openapi()
    return render(request, "reference/api.html", ReferencePage(document["info"]["description"], operations(document)))


def operations(document: dict[str, Any]) -> dict[str, list[Operation]]:
    """The operations of an OpenAPI document, by tag."""
    groups: dict[str, list[Operation]] = defaultdict(list)
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                groups[operation.get("tags", ["other"])[0]].append(_operation(method, path, operation))
    return dict(sorted(groups.items()))


def _operation(method: str, path: str, operation: dict[str, Any]) -> Operation:
    parameters = tuple(
        (each["name"], each["in"], each.get("description", ""), bool(each.get("required")))
        for each in operation.get("parameters", [])
    )
    content = operation.get("requestBody", {}).get("content", {})
    body = next((_name_of(each.get("schema", {})) for each in content.values()), "")
    answers = tuple((status, each.get("description", "")) for status, each in operation["responses"].items())
    description = operation.get("description", "")
    return Operation(method.upper(), path, operation.get("summary", ""), description, parameters, body, answers)


def _name_of(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", schema.get("type", ""))).rsplit("/", 1)[-1]
