"""The checks of every request, in their order, for all routes."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary, finalize

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from orca.db import DATABASE_AWAY
from orca.errors import BadInput, Forbidden, NotClaimed, NotFound, NotSignedIn, OrcaError, RateLimited, StepUpRequired
from orca.events import origin
from orca.features.access.authentication import AuthenticatedSubject, Authenticator, is_local
from orca.features.access.client_address import peer_of
from orca.features.access.csrf import SAFE_METHODS, check_csrf_token, check_names_origin, check_same_origin
from orca.features.access.idempotency import Idempotency, Produce
from orca.features.access.media_types import check_media_type, check_query
from orca.features.access.permissions import instance_permissions, permissions_of
from orca.features.access.rate_limit import Buckets, RateLimits, RepeatCounter
from orca.features.identity.attempts import LOGIN_BY_PEER, peer_key, peer_prefix, spend_attempts
from orca.features.identity.queries import is_claimed
from orca.resources import Resources
from orca.web.guard import ANYONE, UNCLAIMED, Guard, OwnerResolver, Subject, csrf_token_of
from orca.web.rights import ObjectScope
from orca.web.safe_request import are_storable

Chunk = TypeVar("Chunk")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RECHECK_SECONDS = 4.0
_SHARED_SECONDS = 1.0
_MOST_SHARED = 1000
_LARGE_PUSHES = 3


class StreamPlace:
    """One of the streams that a user may have open, taken when the request is admitted: no more begin than may."""

    def __init__(self, open_streams: Counter[str], key: str) -> None:
        self._open_streams, self._key = open_streams, key
        self._is_free = False
        open_streams[key] += 1

    def free(self) -> None:
        """Give the place back, once."""
        if self._is_free:
            return
        self._is_free = True
        self._open_streams[self._key] -= 1
        if not self._open_streams[self._key]:
            del self._open_streams[self._key]


class AccessGate:
    """Implements `orca.web.guard.Gate`."""

    def __init__(self, resources: Resources, limits: RateLimits | None = None) -> None:
        self._resources = resources
        self._authenticator = Authenticator(resources)
        self._limits = limits or RateLimits()
        self._each = Buckets(self._limits.each)
        self._refused = Buckets(self._limits.refused)
        self._pushes = Buckets(self._limits.pushes)
        self._unsigned = Buckets(self._limits.refused)
        self._noted = Buckets(self._limits.unsigned)
        self._denials = RepeatCounter()
        self._idempotency = Idempotency(resources)
        self.large_pushes = asyncio.Semaphore(_LARGE_PUSHES)
        self._large_by_peer: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._streams: Counter[str] = Counter()
        self._known_again: dict[str, tuple[float, AuthenticatedSubject]] = {}
        self._is_claimed = False

    async def admit(self, request: Request, guard: Guard) -> Subject | None:
        """Implement `Gate.admit`, in the order: origin, claim, credentials, CSRF, pace, body, rights, stored limits."""
        request.state.subject = request.state.stream_place = request.state.object_scope = None
        request.state.peer = peer = peer_of(request, self._resources.settings)
        origin.set(replace(origin.get(), ip=peer))
        if request.method not in SAFE_METHODS or guard.rate == "stream" or guard.is_socket:
            check_same_origin(request, self._resources.settings)
        await self._check_claimed(request, guard)
        known = await self._identify(request, guard)
        subject = request.state.subject = known.subject if known else None
        if subject is not None and guard.permission not in ANYONE:
            self._check_way(request, guard, subject)
            await self._check_forgery(request, subject, guard)
        self._check_pace(request, guard)
        _check_route(request, guard)
        if known is not None:
            await self._check_rights(request, guard, known)
        await self._check_stored_limit(request, guard)
        return request.state.subject if subject is None else replace(subject, at=request.state.object_scope)

    async def recognise(self, request: Request) -> Subject | None:
        """See `Gate.recognise`. Only sessions have pages; wrong ones count as for any other request."""
        peer = peer_prefix(peer_of(request, self._resources.settings))
        with suppress(OrcaError, *DATABASE_AWAY):
            self._refused.check(peer)
            try:
                known = await self._authenticator.find(request, touch=False)
            except NotSignedIn:
                self._refused.take(peer)
                raise
            if known is not None and known.subject.via != "token":
                return known.subject
        return None

    async def answer_once(self, request: Request, produce: Produce) -> Response:
        """See `Gate.answer_once`."""
        sender = f"{_asker(request)} {request.state.subject.team_id}"
        return await self._idempotency.answer(request, sender, produce)

    def large_push_of(self, request: Request) -> asyncio.Lock:
        """Return the lock that is held while one address sends a large push, so that its next one waits."""
        return self._large_by_peer.setdefault(peer_prefix(request.state.peer), asyncio.Lock())

    def count_denial(self, request: Request, guard: Guard) -> int | None:
        """See `Gate.count_denial`."""
        if request.state.subject is not None:
            return self._denials.note(f"{request.method} {request.scope['route'].path} {_person(request)}")
        return self._denials.note(f"{guard.rate} {peer_prefix(request.state.peer)}")

    def spend_push(self, request: Request, hook_id: str, *, is_signed: bool) -> bool:
        """See `Gate.spend_push`."""
        if is_signed:
            self._pushes.take(hook_id)
            return True
        self._unsigned.take(peer_prefix(request.state.peer))
        try:
            self._noted.take(hook_id)
        except RateLimited:
            return False
        return True

    def watch(self, request: Request, guard: Guard, body: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        """See `Gate.watch`."""
        place = getattr(request.state, "stream_place", None) or StreamPlace(self._streams, _stream_key(request, guard))
        request.state.stream_place = None
        watched = self._watch(request, guard, body, place)
        finalize(watched, place.free).atexit = False  # a client that is gone already: it is never begun
        return watched

    def leave(self, request: Request) -> None:
        """See `Gate.leave`."""
        if place := getattr(request.state, "stream_place", None):
            place.free()

    async def _watch(
        self, request: Request, guard: Guard, body: AsyncIterator[Chunk], place: StreamPlace
    ) -> AsyncIterator[Chunk]:
        checked = time.monotonic()
        upcoming: asyncio.Future[Chunk] | None = None
        try:
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(body))
                done, _ = await asyncio.wait({upcoming}, timeout=checked + _RECHECK_SECONDS - time.monotonic())
                if time.monotonic() - checked >= _RECHECK_SECONDS:
                    if not await self.still_admits(request, guard):
                        return
                    checked = time.monotonic()
                if done:
                    chunk, upcoming = upcoming.result(), None
                    yield chunk
        except StopAsyncIteration:
            return
        finally:
            place.free()
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)
            if isinstance(body, AsyncGenerator):
                await body.aclose()

    async def still_admits(self, request: Request, guard: Guard) -> bool:
        """See `Gate.still_admits`."""
        try:
            began: Subject | None = request.state.subject
            known = await self._find_again(request, began)
            if known is not None and began is not None and _would_show_else(guard, began, known.subject):
                return False
            if known is not None:
                await self._check_rights(request, guard, known)
        except OrcaError:
            return False
        except DATABASE_AWAY:  # checked again in seconds: no command should end for this
            return True
        return known is not None or guard.permission in ANYONE

    async def _find_again(self, request: Request, began: Subject | None) -> AuthenticatedSubject | None:
        """Return who a stream belongs to now; those of one session or token share an answer for a second."""
        key = "" if began is None else began.session_id or began.token_id or ""
        recent = self._known_again.get(key)
        if recent is not None and time.monotonic() - recent[0] <= _SHARED_SECONDS:
            return recent[1]
        known = await self._authenticator.find(request, touch=False)
        if key and known is not None:
            self._known_again[key] = (time.monotonic(), known)
            while len(self._known_again) > _MOST_SHARED:
                self._known_again.pop(next(iter(self._known_again)))
        return known

    async def _check_claimed(self, request: Request, guard: Guard) -> None:
        if self._is_claimed or guard.permission == UNCLAIMED or self._authenticator.is_open(request):
            return
        async with self._resources.db.read() as session:
            self._is_claimed = await is_claimed(session)
        if not self._is_claimed:
            raise NotClaimed(
                "This instance has no owner yet.", hint="Open the claim link that Orca printed when it started."
            )

    async def _identify(self, request: Request, guard: Guard) -> AuthenticatedSubject | None:
        if guard.permission in ANYONE:
            if guard.rate == "none":  # probes are answered without the database
                return None
            with suppress(NotSignedIn):
                return await self._authenticator.find(request)
            return None
        peer = peer_prefix(request.state.peer)
        self._refused.check(peer)
        try:
            return await self._known(request)
        except NotSignedIn:
            self._refused.take(peer)
            raise

    async def _known(self, request: Request) -> AuthenticatedSubject:
        known = await self._authenticator.find(request)
        if known is None:
            raise NotSignedIn("You are not signed in.", hint="Sign in, or send `Authorization: Bearer <API token>`.")
        return known

    def _check_way(self, request: Request, guard: Guard, subject: Subject) -> None:
        """Refuse API tokens on pages, because a page combines data that the API guards by separate permissions.

        The API reference under /api/ contains no data of a team, so tokens may read it.
        """
        if guard.page and subject.via == "token" and not request.scope["route"].path.startswith("/api/"):
            raise Forbidden(
                "Pages are for signed-in browsers, not for API tokens.",
                hint="Ask the API under /api/v1 instead; /api/docs describes it.",
            )

    async def _check_forgery(self, request: Request, subject: Subject, guard: Guard) -> None:
        if subject.session_id is not None and guard.is_socket:
            check_names_origin(request)
        if subject.session_id is not None and request.method not in SAFE_METHODS:
            await check_csrf_token(request, csrf_token_of(self._resources.secret_box, subject.session_id))

    def _check_pace(self, request: Request, guard: Guard) -> None:
        if guard.rate in {"none", "webhook"} or is_local(request):
            return  # pushes are counted after the check of their signature
        self._each.take(_asker(request))
        if guard.streams:
            key = _stream_key(request, guard)
            most = self._limits.open_streams if guard.rate in {"stream", "read"} else self._limits.open_runs
            if self._streams[key] >= most:
                hint = "Close other tabs, or end commands that still run."
                raise RateLimited("Too many streams of yours are open.", hint=hint, retry_after=30)
            request.state.stream_place = StreamPlace(self._streams, key)

    async def _check_stored_limit(self, request: Request, guard: Guard) -> None:
        """Count guessable or expensive requests in the database, so that a restart does not reset the limits."""
        stored = {
            "login": (peer_key("login", request.state.peer), LOGIN_BY_PEER),
            "claim": (peer_key("claim", request.state.peer), self._limits.claim),
            "reveal": (f"reveal:{_asker(request)}", self._limits.reveal),
        }
        if guard.rate not in stored or is_local(request):
            return
        key, limit = stored[guard.rate]
        await spend_attempts(self._resources.db, {key: limit})

    async def _check_rights(self, request: Request, guard: Guard, known: AuthenticatedSubject) -> None:
        subject = known.subject
        somewhere = guard.tenant or guard.narrowed_by
        may = subject.can_anywhere if somewhere else partial(subject.can, scope=subject.whole_team)
        if guard.needs_permission and not may(guard.permission):
            raise _lacks(guard.permission, subject)
        if guard.rate == "reveal" and not known.is_stepped_up:
            raise StepUpRequired(
                "Enter your password again: it is more than ten minutes ago.", hint="POST /api/v1/me/step-up"
            )
        if guard.tenant is not None:
            request.state.object_scope = await self._check_object(request, guard, guard.tenant, subject)

    async def _check_object(self, request: Request, guard: Guard, parameter: str, subject: Subject) -> ObjectScope:
        """Raise NotFound for an object that no grant reaches, exactly as for one that does not exist.

        A narrowed route also opens for an object that a grant covers a part of, to show that part.
        """
        resolve: OwnerResolver = request.app.state.owners[parameter]
        async with self._resources.db.read() as session:
            scope = await resolve(session, request.path_params[parameter])
        if scope is None or scope.team_id != subject.team_id:
            raise _no_such(parameter)
        if guard.needs_permission and subject.can(guard.permission, scope):
            return scope
        if guard.narrowed_by:
            async with self._resources.db.read(subject.team_id, subject.reach(guard.permission)) as session:
                if await resolve(session, request.path_params[parameter]) is not None:
                    return scope
        if not subject.reaches(scope):
            raise _no_such(parameter)
        if guard.needs_permission:
            raise _lacks(guard.permission, subject)
        return scope


def _lacks(permission: str, subject: Subject) -> Forbidden:
    return Forbidden(f"This needs the permission {permission}.", hint=_way_to(permission, subject))


def _way_to(permission: str, subject: Subject) -> str:
    """Return a hint how to get a permission: by another token, when only this one lacks it, or by another role."""
    if permission in instance_permissions():
        return "Ask an instance admin: only they have it, and those of their tokens that have this scope."
    if subject.can_anywhere(permission):
        return "You have it within some projects, environments or systems only, and this is not within them."
    held = permissions_of(subject.role, is_instance_admin=False)
    if subject.token_id is not None and permission in held:
        command = f"orc tokens create NAME --scope {permission}"
        return f"Your role has it, this token does not. Tokens in the panel makes one, or on the server `{command}`."
    return "Ask an owner of your team for a role that has it."


def _check_route(request: Request, guard: Guard) -> None:
    """Check the form of address and body before anything is read from the database."""
    parameters = {name: str(value) for name, value in request.path_params.items()}
    for name, value in parameters.items():
        if name.endswith("_id") and not _IDENTIFIER.fullmatch(value):
            raise _no_such(name)
    if not are_storable([*parameters.values(), *request.query_params.values()]):
        raise BadInput("The address holds a NUL character.")
    route = request.scope["route"]
    if guard.is_socket and request.url.query:
        raise BadInput("A WebSocket of Orca takes no parameters in its address.", hint="A token belongs in a header.")
    if isinstance(route, APIRoute):
        check_query(request, route, is_page=guard.page)
        check_media_type(request, route, is_page=guard.page)


def _no_such(parameter: str) -> NotFound:
    return NotFound(f"there is no {parameter.removesuffix('_id')} with this id")


def _stream_key(request: Request, guard: Guard) -> str:
    """Return the key of a stream's limit: those that only watch, and those that keep something running."""
    return f"{'watch' if guard.rate in {'stream', 'read'} else 'run'} {_person(request)}"


def _person(request: Request) -> str:
    """Return the user of a request, the same for all of their tokens and sessions."""
    subject: Subject | None = request.state.subject
    return f"user:{subject.user_id}" if subject is not None and subject.user_id else _asker(request)


def _asker(request: Request) -> str:
    """Return the key by which requests are counted together."""
    subject: Subject | None = request.state.subject
    if subject is None:
        return f"peer:{peer_prefix(request.state.peer)}"
    return f"{subject.via}:{subject.token_id or subject.user_id or subject.actor}"


def _would_show_else(guard: Guard, began: Subject, now: Subject) -> bool:
    """Whether what a stream shows was chosen by a team or by rights that its subject has no more."""
    if now.team_id != began.team_id:
        return True
    if guard.page:  # a drawing asks for more rights than its guard does
        return (set(now.grants), now.is_instance_admin) != (set(began.grants), began.is_instance_admin)
    by = guard.narrowed_by
    return bool(by) and now.reach(by) != began.reach(by)
