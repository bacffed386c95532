"""Documents the API and its error codes, for programs (OpenAPI) and for people, to all signed-in users."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from orca.errors import OrcaError, all_codes, meaning_of
from orca.web.guard import SIGNED_IN, Router, guard
from orca.web.openapi import describe_api
from orca.web.render import render

_HOUSE = Path(__file__).parents[3]
_REMEDIES = (Path(__file__).with_name("errors.yml"), _HOUSE / "docs" / "errors.yml")
"""In a wheel, and in a checkout."""
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
    return JSONResponse(describe_api(request.app))


@router.get("/api/docs")
@guard(SIGNED_IN, page=True)
async def docs(request: Request) -> Response:
    """The same for people."""
    document = describe_api(request.app)
    return render(request, "reference/api.html", ReferencePage(document["info"]["description"], operations(document)))


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """What a code stands for."""

    code: str
    status: int | None
    """None for what ends a task and is no answer by itself."""
    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ErrorsPage:
    """Where the `type` of every problem leads."""

    codes: list[ErrorCode]


@router.get("/docs/errors")
@guard(SIGNED_IN, page=True)
async def errors(request: Request) -> Response:
    """What each error code means, and what to do about it."""
    remedies = await asyncio.to_thread(_remedies)
    codes = [
        ErrorCode(
            code, known.status if known.status != OrcaError.status or known is OrcaError else None,
            meaning_of(known), remedies.get(code, ""),
        )
        for code, known in all_codes().items()
    ]  # fmt: skip
    return render(request, "reference/errors.html", ErrorsPage(codes))


@cache
def _remedies() -> dict[str, str]:
    import yaml  # noqa: PLC0415 - a megabyte that a start does without

    path = next(remedy for remedy in _REMEDIES if remedy.is_file())
    remedies: dict[str, str] = yaml.safe_load(path.read_text("utf-8"))
    return remedies


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
        (parameter["name"], parameter["in"], parameter.get("description", ""), bool(parameter.get("required")))
        for parameter in operation.get("parameters", [])
        if "name" in parameter  # not the one that nearly all POSTs share
    )
    content = operation.get("requestBody", {}).get("content", {})
    body = next((_name_of(media.get("schema", {})) for media in content.values()), "")
    answers = tuple((status, answer.get("description", "")) for status, answer in operation["responses"].items())
    description = operation.get("description", "")
    return Operation(method.upper(), path, operation.get("summary", ""), description, parameters, body, answers)


def _name_of(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", schema.get("type", ""))).rsplit("/", 1)[-1]
