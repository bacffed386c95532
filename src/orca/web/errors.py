"""Renders a failure for its client: problem+json (RFC 9457) for programs, a page for people."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from orca.db import DATABASE_AWAY, Database
from orca.errors import BadInput, DatabaseUnavailable, NotClaimed, NotSignedIn, OrcaError, StepUpRequired, TookTooLong
from orca.kit.validation import explain
from orca.web.guard import RETRY_AFTER_SECONDS, Guard, record_denial
from orca.web.habits import methods_at
from orca.web.redirects import local_path
from orca.web.render import ErrorPage, render
from orca.web.safe_request import UNSTORABLE

log = structlog.get_logger("orca.web")
_OVERLOADED = "Something it needs is overloaded or hangs: see `/api/health/ready` and `orc doctor`."


def install_error_handlers(app: FastAPI) -> None:
    """Install a handler for every way in which a request can fail."""
    app.add_exception_handler(OrcaError, _orca_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    for away in DATABASE_AWAY:
        app.add_exception_handler(away, _database_away)
    app.add_exception_handler(Exception, draw_crash)


async def _orca_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OrcaError)  # noqa: S101 - registered for this class only
    await record_denial(request, error)
    asks_on_page = isinstance(error, StepUpRequired) and "hx-request" in request.headers
    if isinstance(error, StepUpRequired) and _wants_page(request) and not asks_on_page:
        back = request.url.path.removesuffix("/reveal")
        back = back.rpartition("/")[0] if back != request.url.path else back
        return RedirectResponse(f"/account/step-up?next={back}", status_code=303)
    if _wants_page(request) and request.method == "GET":
        if isinstance(error, NotClaimed):
            return RedirectResponse("/claim", status_code=303)
        if isinstance(error, NotSignedIn):
            return RedirectResponse(f"/login?next={request.url.path}", status_code=303)
    headers = {"Retry-After": str(error.details["retry_after"])} if "retry_after" in error.details else {}
    headers |= {"HX-Trigger": "step-up"} if asks_on_page else {}
    return _draw(request, error.status, _problem(request, error.status, error.code, error.message, error), headers)


async def draw_failure(request: Request, error: Exception) -> Response:
    """Answer a failure that is handled outside of the routes of FastAPI."""
    if isinstance(error, TimeoutError):
        error = TookTooLong("The request was given up.", hint=_OVERLOADED, retry_after=RETRY_AFTER_SECONDS)
    handle = _orca_error if isinstance(error, OrcaError) else _database_away
    return await handle(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    fields = {_place(fault): explain(fault) for fault in error.errors()}
    first = next(iter(fields.items()), ("body", "cannot be read"))
    problem = BadInput(f"{first[0]}: {first[1]}", fields=fields)
    status = 400 if any(_is_no_json(fault) for fault in error.errors()) else 422
    return _draw(request, status, _problem(request, status, problem.code, problem.message, problem))


def _is_no_json(problem: Mapping[str, Any]) -> bool:
    """Whether the body is not JSON at all, as opposed to JSON with texts that cannot be stored."""
    return bool(problem["type"] == "json_invalid") and problem.get("ctx", {}).get("error") != UNSTORABLE


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    allowed = methods_at(request) if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else []
    if allowed and request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": ", ".join(allowed)})
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    message = _plainer(request, error) if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
    problem = _problem(request, error.status_code, code, message, None)
    headers = {**(error.headers or {}), **({"Allow": ", ".join(allowed)} if allowed else {})}
    if getattr(request.state, "subject", None) is None and _wants_page(request):
        request.state.subject = await request.app.state.gate.recognise(request)
    return _draw(request, error.status_code, problem, headers)


async def _database_away(request: Request, error: Exception) -> Response:
    """Answer a correct request that is worth a retry. The page is rendered without the database."""
    log.warning("database_away", path=request.url.path, reason=str(error))
    problem = explain_database(request.app.state.resources.db, error)
    headers = {"Retry-After": str(problem.details["retry_after"])}
    return _draw(request, 503, _problem(request, 503, problem.code, problem.message, problem), headers)


def explain_database(db: Database, error: Exception) -> DatabaseUnavailable:
    """Translate one of DATABASE_AWAY to an error for people."""
    cause = db.explain(error)
    return DatabaseUnavailable(cause.message, hint=cause.hint, retry_after=RETRY_AFTER_SECONDS)


def _plainer(request: Request, error: HTTPException) -> str:
    """Return a clearer message where the framework's is only the name of the status."""
    known = {
        404: "There is nothing at this address.",
        405: f"This address does not take {request.method} requests.",
    }
    return known.get(error.status_code, error.detail)


async def draw_crash(request: Request, error: Exception) -> Response:
    """Answer an unexpected failure: the log has the details, the response only says where to look."""
    if isinstance(error, DATABASE_AWAY):  # raised outside of any route, or while a failure was being recorded
        return await _database_away(request, error)
    log.error("request_crashed", path=request.url.path, exc_info=error)
    message = "Orca met a case it was not built for."
    problem = _problem(request, 500, "internal", message, None)
    problem["hint"] = f"The server log says more under request {problem['request_id']}; please report it."
    return _draw(request, 500, problem)


def draw_problem(request: Request, error: OrcaError) -> JSONResponse:
    """Render a failure as problem+json, for middleware that answers before the route is known."""
    problem = _problem(request, error.status, error.code, error.message, error)
    return JSONResponse(problem, error.status, media_type="application/problem+json")


def _place(problem: Mapping[str, Any]) -> str:
    """Return the field's name, or `body`: also for invalid JSON, whose position is in pydantic's message as well."""
    inside = () if problem["type"] == "json_invalid" else problem["loc"][1:]
    return ".".join(str(part) for part in inside) or "body"


def _problem(request: Request, status: int, code: str, message: str, error: OrcaError | None) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "type": f"/docs/errors#{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": message,
        "request_id": getattr(request.state, "request_id", ""),
    }
    if error is not None:
        problem |= {"hint": error.hint} if error.hint else {}
        problem |= {key: value for key, value in error.details.items() if key in {"fields", "retry_after", "blockers"}}
    return problem


def _draw(request: Request, status: int, problem: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    if status == HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": 'Bearer realm="orca"', **(headers or {})}
    if _wants_page(request):
        page = ErrorPage(status, problem["title"], problem["detail"], problem.get("hint", ""), problem["request_id"])
        if status == HTTPStatus.UNAUTHORIZED:
            page = _ask_to_sign_in(request, page)
        return render(request, "layout/error.html", page, status=status, headers=headers)
    return JSONResponse(problem, status, dict(headers or {}), media_type="application/problem+json")


def _ask_to_sign_in(request: Request, page: ErrorPage) -> ErrorPage:
    """Return the page for people, who send no tokens: it leads back to where the form was."""
    back = "/"
    with suppress(ValueError):
        back = local_path(urlsplit(request.headers.get("referer", "")).path)
    return replace(
        page, heading="Sign in", message="You are signed out, so nothing was done.",
        hint="Go back after you have signed in: browsers keep what was typed into a form.",
        sign_in=f"/login?next={back}",
    )  # fmt: skip


def _wants_page(request: Request) -> bool:
    declared: Guard | None = getattr(request.state, "guard", None)
    if declared is not None:
        return declared.page
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
