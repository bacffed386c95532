"""A route's declaration of who may use it, and the route class that enforces it: without one Orca does not start.

Order per request: authenticate → check the permission for the object → endpoint → audit → commit → response.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal, Protocol, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Reach
from orca.errors import OrcaError, TookTooLong
from orca.events import Fact, Origin, Via, origin, record
from orca.kit.crypto import SecretBox
from orca.resources import Resources
from orca.web.habits import locate_result
from orca.web.middleware import name_method
from orca.web.rights import Grant, ObjectScope, permissions_within, reach_of
from orca.web.safe_request import SafeRequest

REQUEST_SECONDS = 30.0
RETRY_AFTER_SECONDS = 5
Rate = Literal["read", "write", "login", "claim", "webhook", "reveal", "stream", "none"]
PUBLIC = "public"
"""No sign-in required."""
SIGNED_IN = "signed-in"
"""Any user or token, of any role."""
UNCLAIMED = "unclaimed"
"""Available before the instance has an owner, and only useful then."""


ANYONE = frozenset({PUBLIC, UNCLAIMED})
"""What needs no sign-in."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a route must declare: permission, owned parameter, rate class, audit verb, and how it renders errors."""

    permission: str
    tenant: str | None
    rate: Rate
    audit: str | None
    page: bool
    streams: bool = False
    """The response may last long: open ones are counted, and end when their session or permission does."""
    seconds: float | None = REQUEST_SECONDS
    """Deadline until the response begins; None for uploads, which take as long as their sender needs."""
    is_socket: bool = False
    """It is a WebSocket; see `orca.web.sockets`."""
    narrowed_by: str = ""
    """The permission by which it shows less to a subject that has it for some objects only; see `narrowed`."""

    @property
    def needs_permission(self) -> bool:
        """Whether more than a sign-in is needed."""
        return self.permission not in {*ANYONE, SIGNED_IN}

    @property
    def takes_idempotency_key(self) -> bool:
        """Whether a repeated POST is recognised by its key.

        Git hosts' deliveries have ids of their own. An upload to disk cannot be compared, and is harmless when it is
        repeated.
        """
        return not self.page and self.seconds is not None and self.rate != "webhook" and self.permission not in ANYONE


@dataclass(frozen=True, slots=True)
class Subject:
    """The authenticated user or token, its team, and what it may do there."""

    actor: str
    via: Via
    team_id: str
    grants: tuple[Grant, ...] = ()
    user_id: str | None = None
    role: str = ""
    is_instance_admin: bool = False
    session_id: str | None = None
    token_id: str | None = None
    teams: tuple[tuple[str, str], ...] = ()
    """Name and id of each team that the user of a session can switch to, by name."""
    at: ObjectScope | None = None
    """The object of the request; None where it is about the whole team."""

    @property
    def whole_team(self) -> ObjectScope:
        """The scope of what belongs to no single project, environment or system: only team-wide grants cover it."""
        return ObjectScope(self.team_id)

    @property
    def permissions(self) -> frozenset[str]:
        """The permissions for the object of the request, or for the whole team."""
        return self.permissions_in(self.at or self.whole_team)

    def permissions_in(self, scope: ObjectScope) -> frozenset[str]:
        """Return the permissions for an object; none for one of another team."""
        return permissions_within(self.grants, scope)

    def can(self, permission: str, scope: ObjectScope | None = None) -> bool:
        """Whether the subject has a permission for an object; without a scope, for the object of the request."""
        return permission in (self.permissions if scope is None else self.permissions_in(scope))

    def can_anywhere(self, permission: str) -> bool:
        """Whether the subject has a permission for some object."""
        return any(permission in grant.permissions for grant in self.grants)

    def permissions_anywhere(self) -> frozenset[str]:
        """Return the permissions that the subject has for some object or other."""
        return frozenset().union(*(grant.permissions for grant in self.grants))

    def reach(self, permission: str) -> Reach | None:
        """Return the part of the team in which the subject has a permission; None for all of it."""
        return reach_of(grant.scope for grant in self.grants if permission in grant.permissions)

    def reaches(self, scope: ObjectScope) -> bool:
        """Whether the subject may know that an object of this scope exists."""
        return any(grant.permissions and grant.scope.covers(scope) for grant in self.grants if not grant.is_own)


@dataclass(frozen=True, slots=True)
class Scope:
    """The team to which reads and writes are restricted; queries take it instead of a bare id."""

    team_id: str
    reach: Reach | None = None
    """The part of it to which reads of a request are restricted; None for all of it."""


OwnerResolver = Callable[[AsyncSession, str], Awaitable[ObjectScope | None]]
"""Returns where the object with this id belongs, or None for an unknown one. `app.state.owners`: by path parameter."""


def csrf_token_of(box: SecretBox, session_id: str) -> str:
    """Return the token that unsafe requests of a session must have in header `X-CSRF-Token` or field `csrf_token`."""
    return box.sign(f"csrf:{session_id}")


class Gate(Protocol):
    """Decides who comes in; `features.access` implements it, `app` wires it."""

    large_pushes: asyncio.Semaphore
    """Limits concurrent push bodies over a mebibyte."""

    def large_push_of(self, request: Request) -> asyncio.Lock:
        """Return the lock that serialises the large pushes of one client address."""
        ...

    async def admit(self, request: Request, guard: Guard) -> Subject | None:
        """Return the subject; None if public. Raises NotSignedIn, Forbidden, NotFound, RateLimited, NotClaimed."""
        ...

    async def recognise(self, request: Request) -> Subject | None:
        """Return who asks for an address that no route takes, so that the answer has the frame of a page."""
        ...

    def watch(self, request: Request, guard: Guard, body: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the body of a stream, for as long as its subject is authorised."""
        ...

    async def still_admits(self, request: Request, guard: Guard) -> bool:
        """Whether the subject that was admitted still has its rights: for what lasts longer than a response."""
        ...

    def leave(self, request: Request) -> None:
        """Free what the request has taken of its user's limits, except what `watch` has taken over."""
        ...

    def spend_push(self, request: Request, hook_id: str, *, is_signed: bool) -> bool:
        """Count a delivery to a hook. Return whether its refusal may be recorded. Raises RateLimited.

        Signed and unsigned deliveries have separate limits, so that a sender without the secret cannot use up the
        hook's limit: Git hosts do not resend refused deliveries.
        """
        ...

    async def answer_once(self, request: Request, produce: Callable[[], Awaitable[Response]]) -> Response:
        """Return the response to a request with an Idempotency-Key; for a repeated request the first response."""
        ...

    def count_denial(self, request: Request, guard: Guard) -> int | None:
        """Return how many refusals were left out since the last recorded one; None if it was recorded too recently."""
        ...


Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def guard(
    permission: str, *, tenant: str | None = None, rate: Rate = "read", audit: str | None = None, page: bool = False,
    seconds: float | None = REQUEST_SECONDS,
) -> Callable[[Endpoint], Endpoint]:  # fmt: skip
    """Declare a route. `tenant` names the path parameter (`service_id`) for whose object the permission is needed."""

    def declare(endpoint: Endpoint) -> Endpoint:
        streams = rate == "stream" or endpoint.__annotations__.get("return") is StreamingResponse
        endpoint.__guard__ = Guard(permission, tenant, rate, audit, page, streams, seconds)  # type: ignore[attr-defined]
        return endpoint

    return declare


def narrowed(permission: str = "") -> Callable[[Endpoint], Endpoint]:
    """Declare, above `guard`, that a route shows a subject with narrower grants what these cover, instead of 403.

    All that it shows must be read by `ReadSession`, which sees no more: of the team, or of the object that `tenant`
    names. `permission` is that of the guard, where no other one is given.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        declared = guard_of(endpoint)
        endpoint.__guard__ = replace(declared, narrowed_by=permission or declared.permission)  # type: ignore[attr-defined]
        return endpoint

    return declare


def guard_of(endpoint: Callable[..., Any]) -> Guard:
    """Return the declaration of an endpoint. Raises RuntimeError where there is none."""
    declared = getattr(endpoint, "__guard__", None)
    if not isinstance(declared, Guard):
        raise RuntimeError(f"{endpoint.__module__}.{endpoint.__qualname__} declares no guard: every route must")  # noqa: TRY004 - a mistake in code, not a type
    return declared


class GuardedRoute(APIRoute):
    """A route that enforces its guard, and commits once, before the response is sent."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        self.guard = guard_of(endpoint)
        super().__init__(path, endpoint, **kwargs)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, wrapped by the guard."""
        handle = super().get_route_handler()

        async def guarded(incoming: Request) -> Response:
            request = SafeRequest(incoming, self.max_body_size)
            request.state.guard = self.guard
            token = origin.set(origin_of(request, None))
            try:
                async with _deadline(self.guard):
                    request.state.subject = subject = await request.app.state.gate.admit(request, self.guard)
                    origin.set(origin_of(request, subject))
                    request.state.team_id = self._team_of(subject)
                    request.state.reach = self._reach_of(subject)
                    produce = partial(_commit_after, handle, request)
                    if self._may_repeat(request, subject):
                        gate: Gate = request.app.state.gate
                        return await gate.answer_once(request, produce)
                    return await produce()
            finally:
                request.app.state.gate.leave(request)
                await _close(request)
                origin.reset(token)

        return guarded

    def _team_of(self, subject: Subject | None) -> str | None:
        """Return the team whose rows the sessions of a request see; None where no sign-in is needed."""
        return None if subject is None or self.guard.permission in ANYONE else subject.team_id

    def _reach_of(self, subject: Subject | None) -> Reach | None:
        """Return the part of the team that reads of a request see; None for all of it.

        Where a sign-in is enough, it is nothing, unless the route says by which permission it is narrowed.
        """
        return None if subject is None else subject.reach(self.guard.narrowed_by or self.guard.permission)

    def _may_repeat(self, request: Request, subject: Subject | None) -> bool:
        """Whether a signed-in POST has an Idempotency-Key that counts."""
        may = subject is not None and self.guard.takes_idempotency_key
        return may and request.method == "POST" and "idempotency-key" in request.headers


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
        await _close(request)  # SQLite has one writer: release it before the failure is recorded
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


def origin_of(request: Request, subject: Subject | None) -> Origin:
    """Return who causes what happens in a request."""
    peer = getattr(request.state, "peer", None)
    request_id = getattr(request.state, "request_id", None)
    if subject is None:
        return Origin("anonymous", "none", peer, request_id)
    return Origin(subject.actor, subject.via, peer, request_id, subject.user_id, subject.permissions)


def _subject(request: Request) -> Subject:
    subject: Subject = request.state.subject
    return subject


def _scope(request: Request) -> Scope:
    return Scope(_subject(request).team_id, request.state.reach)


def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


CurrentSubject = Annotated[Subject, Depends(_subject)]
CurrentScope = Annotated[Scope, Depends(_scope)]
CurrentResources = Annotated[Resources, Depends(_resources)]


class Router(APIRouter):
    """An APIRouter whose routes are all guarded."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(route_class=GuardedRoute, generate_unique_id_function=name_operation, **kwargs)


def name_operation(route: APIRoute) -> str:
    """Return the id of an operation: the name of its function, such as `create_deployment`."""
    return str(route.name)


def take_routes(router: APIRouter, *others: APIRouter) -> None:
    """Add the routes of other routers unchanged; `include_router` would build each of them anew, twice."""
    for other in others:
        router.routes.extend(other.routes)


async def record_denial(request: Request, error: OrcaError) -> None:
    """Audit a refused attempt in a separate transaction, except ordinary reads, which are not worth a row.

    Requests over a rate limit, and repeated ones of an unauthenticated client, are not recorded either, as they could
    flood the trail. The limit itself records that it was reached, and the client's next row has the number left out.
    """
    declared: Guard | None = getattr(request.state, "guard", None)
    if declared is None or error.status not in {401, 403} or declared.rate in {"read", "stream", "none"}:
        return
    repeated = request.app.state.gate.count_denial(request, declared)
    if repeated is None:
        return
    subject: Subject | None = getattr(request.state, "subject", None)
    token = origin.set(origin_of(request, subject))
    try:
        async with request.app.state.resources.db.write() as session:
            what: dict[str, object] = {"route": request.scope["route"].path, "method": name_method(request.scope)}
            what |= {"code": error.code} | ({"repeated": repeated} if repeated else {})
            fact = Fact("AttemptDenied", subject.team_id if subject else None, payload=what, outcome="denied")
            await record(session, fact)
    finally:
        origin.reset(token)
