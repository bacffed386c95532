"""What a route declares about itself, and the route class that enforces it: no declaration, no start-up.

Order for each request: who is asking → is it allowed → is the object theirs → endpoint → audit → commit → response.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal, Protocol, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import OrcaError, TookTooLong
from orca.events import Fact, Origin, Via, origin, record
from orca.kit.crypto import SecretBox
from orca.resources import Resources
from orca.web.habits import locate_result
from orca.web.middleware import name_method
from orca.web.texts import TextRequest

REQUEST_SECONDS = 30.0
RETRY_AFTER_SECONDS = 5
Rate = Literal["read", "write", "login", "claim", "webhook", "reveal", "stream", "none"]
PUBLIC = "public"
"""No sign-in asked."""
SIGNED_IN = "signed-in"
"""Any user or token, whatever its role."""
UNCLAIMED = "unclaimed"
"""Answers before the instance has an owner, and only then matters."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a route must say: permission, tenant resolver, rate class, audit verb, and how it draws errors."""

    permission: str
    tenant: str | None
    rate: Rate
    audit: str | None
    page: bool
    streams: bool = False
    """Its answer may go on for long: it is counted while it does, and ends with what admitted it."""
    seconds: float | None = REQUEST_SECONDS
    """Until the answer begins; None for a body that takes as long as its sender takes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asking, and what they may do in which team."""

    actor: str
    via: Via
    team_id: str
    permissions: frozenset[str]
    user_id: str | None = None
    role: str = ""
    is_instance_admin: bool = False
    session_id: str | None = None
    token_id: str | None = None

    def can(self, permission: str) -> bool:
        """Whether the subject has a permission in its team."""
        return permission in self.permissions


@dataclass(frozen=True, slots=True)
class Scope:
    """The team through which rows are read and written; queries take it instead of a bare id."""

    team_id: str


Resolver = Callable[[AsyncSession, str], Awaitable[str | None]]
tenant_resolvers: dict[str, Resolver] = {}
"""Path parameter -> the team that owns the object; each feature's queries register their own."""


def tenant_resolver(parameter: str) -> Callable[[Resolver], Resolver]:
    """Register who owns the object behind a path parameter; the function gives a team id, or None for unknown."""

    def register(resolver: Resolver) -> Resolver:
        tenant_resolvers[parameter] = resolver
        return resolver

    return register


def csrf_token_of(box: SecretBox, session_id: str) -> str:
    """What unsafe requests of a browser session must carry, as header `X-CSRF-Token` or field `csrf_token`."""
    return box.sign(f"csrf:{session_id}")


class Gate(Protocol):
    """Decides who comes in; `features.access` implements it, `app` wires it."""

    large_pushes: asyncio.Semaphore
    """Places for push bodies over a mebibyte."""

    def large_push_of(self, request: Request) -> asyncio.Lock:
        """The turn of an address among its own large pushes."""
        ...

    """Room for deliveries of many megabytes."""

    async def admit(self, request: Request, guard: Guard) -> Subject | None:
        """The subject, or None on public routes. Raises NotSignedIn, Forbidden, NotFound, TooOften, NotClaimed."""
        ...

    def watch(self, request: Request, guard: Guard, body: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The body of a stream, for as long as its subject stays admitted."""
        ...

    def spend_push(self, request: Request, hook_id: str, *, is_signed: bool) -> bool:
        """Count a delivery at a hook. Whether its refusal may be noted; raises TooOften.

        What is signed and what is not have allowances of their own, so that nobody without the secret uses up the
        hook's; the hosts do not send again what was refused.
        """
        ...

    async def answer_once(self, request: Request, produce: Callable[[], Awaitable[Response]]) -> Response:
        """The answer of a request with an Idempotency-Key: of the first one, when it was asked before."""
        ...

    def count_denial(self, request: Request, guard: Guard) -> int | None:
        """Whether this refusal is worth a row (None: not so soon after the last), and how many were not since then."""
        ...


Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def guard(
    permission: str, *, tenant: str | None = None, rate: Rate = "read", audit: str | None = None, page: bool = False,
    seconds: float | None = REQUEST_SECONDS,
) -> Callable[[Endpoint], Endpoint]:  # fmt: skip
    """Declare a route. `tenant` names the path parameter whose owner must be the subject's team (`service_id`)."""

    def declare(endpoint: Endpoint) -> Endpoint:
        streams = rate == "stream" or endpoint.__annotations__.get("return") is StreamingResponse
        endpoint.__guard__ = Guard(permission, tenant, rate, audit, page, streams, seconds)  # type: ignore[attr-defined]
        return endpoint

    return declare


def guard_of(endpoint: Callable[..., Any]) -> Guard:
    """The declaration of an endpoint; raises RuntimeError where there is none."""
    declared = getattr(endpoint, "__guard__", None)
    if not isinstance(declared, Guard):
        raise RuntimeError(f"{endpoint.__module__}.{endpoint.__qualname__} declares no guard: every route must")  # noqa: TRY004 - a mistake in code, not a type
    return declared


class GuardedRoute(APIRoute):
    """A route that lets nobody past its guard, and commits once, before the response is sent."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        self.guard = guard_of(endpoint)
        super().__init__(path, endpoint, **kwargs)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()

        async def guarded(incoming: Request) -> Response:
            request = TextRequest(incoming, self.max_body_size)
            request.state.guard = self.guard
            token = origin.set(_origin(request, None))
            try:
                async with _deadline(self.guard):
                    request.state.subject = subject = await request.app.state.gate.admit(request, self.guard)
                    origin.set(_origin(request, subject))
                    produce = partial(_commit_after, handle, request)
                    if self._may_repeat(request, subject):
                        gate: Gate = request.app.state.gate
                        return await gate.answer_once(request, produce)
                    return await produce()
            finally:
                await _close(request)
                origin.reset(token)

        return guarded

    def _may_repeat(self, request: Request, subject: Subject | None) -> bool:
        """Whether the sender of a POST chose a key by which a repetition is known. Git hosts have keys of their own."""
        declared = self.guard
        # A body for the disk (its route has no deadline) cannot be compared, and is harmless when it comes twice.
        is_left_out = declared.page or declared.streams or declared.seconds is None or declared.rate == "webhook"
        is_kept = subject is not None and not is_left_out
        return is_kept and request.method == "POST" and "idempotency-key" in request.headers


@asynccontextmanager
async def _deadline(declared: Guard) -> AsyncIterator[None]:
    limit = asyncio.timeout(declared.seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise TookTooLong(
            f"The request was given up after {declared.seconds:g} seconds.",
            hint="Something it needs is overloaded or hangs: see `/api/health/ready` and `orc doctor`.",
            retry_after=RETRY_AFTER_SECONDS,
        ) from None


async def _commit_after(handle: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await _answer_and_commit(handle, request)
    except BaseException:
        await _close(request)  # SQLite has one writer: it is free before anything else is written about the failure
        raise


async def _answer_and_commit(handle: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    response = await handle(request)
    if response.status_code in {HTTPStatus.CREATED, HTTPStatus.ACCEPTED} and "location" not in response.headers:
        locate_result(request, response)
    declared: Guard = request.state.guard
    if isinstance(response, StreamingResponse):
        response.body_iterator = request.app.state.gate.watch(request, declared, response.body_iterator)
    session: AsyncSession | None = getattr(request.state, "write_session", None)
    before_commit = getattr(request.state, "before_commit", None)
    if before_commit is not None:
        await before_commit(session, response)
    if session is not None:
        await session.commit()
    return response


async def _close(request: Request) -> None:
    session: AsyncSession | None = getattr(request.state, "write_session", None)
    if session is not None:
        request.state.write_session = None
        await session.close()


def _origin(request: Request, subject: Subject | None) -> Origin:
    peer = getattr(request.state, "peer", None)
    request_id = getattr(request.state, "request_id", None)
    if subject is None:
        return Origin("anonymous", "none", peer, request_id)
    return Origin(subject.actor, subject.via, peer, request_id, subject.user_id, subject.permissions)


def _subject(request: Request) -> Subject:
    subject: Subject = request.state.subject
    return subject


def _scope(request: Request) -> Scope:
    return Scope(_subject(request).team_id)


def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


CurrentSubject = Annotated[Subject, Depends(_subject)]
CurrentScope = Annotated[Scope, Depends(_scope)]
CurrentResources = Annotated[Resources, Depends(_resources)]


class Router(APIRouter):
    """An APIRouter whose routes are all guarded."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(route_class=GuardedRoute, **kwargs)


async def record_denial(request: Request, error: OrcaError) -> None:
    """Audit a refused attempt in a transaction of its own; reads that nobody tried to force are not worth a row.

    Neither are requests over a limit, or the same from a stranger again and again: those would let anybody fill the
    trail. The limit itself records that it was met, the next row of the stranger how many there were.
    """
    declared: Guard | None = getattr(request.state, "guard", None)
    if declared is None or error.status not in {401, 403} or declared.rate in {"read", "stream", "none"}:
        return
    repeated = request.app.state.gate.count_denial(request, declared)
    if repeated is None:
        return
    subject: Subject | None = getattr(request.state, "subject", None)
    token = origin.set(_origin(request, subject))
    try:
        async with request.app.state.resources.db.write() as session:
            what: dict[str, object] = {"route": request.scope["route"].path, "method": name_method(request.scope)}
            what |= {"code": error.code} | ({"repeated": repeated} if repeated else {})
            fact = Fact("AttemptDenied", subject.team_id if subject else None, payload=what, outcome="denied")
            await record(session, fact)
    finally:
        origin.reset(token)
