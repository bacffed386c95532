"""Authentication by private socket, bearer token or browser cookie. Only one is tried; if it is invalid, it fails."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy import Update, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from orca.db import now
from orca.errors import NotSignedIn
from orca.events import Via
from orca.features.access.actions import ensure_default_team
from orca.features.access.models import ApiToken
from orca.features.access.permissions import all_permissions, expand_scopes
from orca.features.access.queries import Member, find_default_team, find_member, find_token, list_memberships
from orca.features.access.rules import limit_to_scopes, parse_token
from orca.features.identity.actions import lifetime_of
from orca.features.identity.cookies import session_cookie_name
from orca.features.identity.models import BrowserSession, User
from orca.features.identity.queries import find_browser_session
from orca.features.identity.rules import is_stepped_up
from orca.kit.crypto import digest
from orca.resources import Resources
from orca.web.guard import Subject
from orca.web.rights import team_wide

log = structlog.get_logger("orca.access")
_TOUCH_SECONDS = 60
_MAX_BEARER = 4096
_MAX_COOKIE = 64
_BAD_TOKEN = "This API token is unknown, expired or revoked."  # noqa: S105 - a message
_SIGN_IN = "Sign in, or send `Authorization: Bearer <API token>`."


@dataclass(frozen=True, slots=True)
class AuthenticatedSubject:
    """An authenticated subject, and whether their password was entered within ten minutes."""

    subject: Subject
    is_stepped_up: bool


def is_local(request: Request) -> bool:
    """Whether the request came over the unix socket that only Orca's own user can open."""
    return request.scope.get("orca.local") is True


class Authenticator:
    """Finds the subject of a request by its credentials."""

    def __init__(self, resources: Resources) -> None:
        self._db = resources.db
        self._settings = resources.settings
        self._default_team: str | None = None

    def is_open(self, request: Request) -> bool:
        """Whether the request needs no credentials: it came over the private socket, or authentication is off."""
        return is_local(request) or not self._settings.auth.enabled

    async def find(self, request: Request, *, touch: bool = True) -> AuthenticatedSubject | None:
        """Return the subject of a request; None without any credentials. Raises NotSignedIn for invalid ones.

        `touch`: store that the session or token was used, at most once a minute.
        """
        if self.is_open(request):
            return AuthenticatedSubject(
                await self._machine_owner("local", "socket" if is_local(request) else "none"), True
            )
        headers = request.headers.getlist("authorization")
        if headers:
            return await self._by_bearer(_read_bearer(headers), touch=touch)
        cookie = request.cookies.get(session_cookie_name(self._settings))
        return None if cookie is None else await self._by_cookie(cookie, touch=touch)

    async def _by_bearer(self, text: str, *, touch: bool) -> AuthenticatedSubject:
        configured = self._settings.auth.token
        if configured is not None and secrets.compare_digest(digest(text), digest(configured.get_secret_value())):
            return AuthenticatedSubject(await self._machine_owner("instance token", "token"), True)
        parsed = parse_token(text)
        if parsed is None:
            raise NotSignedIn(_BAD_TOKEN, hint=_SIGN_IN)
        async with self._db.read() as session:
            found = await find_token(session, parsed.token_id)
            if found is None or not _holds(*found, parsed.secret):
                raise NotSignedIn(_BAD_TOKEN, hint=_SIGN_IN)
            row, user = found
            subject = await _subject_of_token(session, row, user)
        if touch and _is_stale(row.used_at):
            await self._note(update(ApiToken).where(ApiToken.id == row.id).values(used_at=now()))
        return AuthenticatedSubject(subject, True)

    async def _by_cookie(self, cookie: str, *, touch: bool) -> AuthenticatedSubject:
        async with self._db.read() as session:
            found = await find_browser_session(session, cookie[:_MAX_COOKIE], lifetime_of(self._settings), now())
            if found is None:
                raise NotSignedIn("Your session has ended.", hint="Sign in again.")
            row, user = found
            subject = await self._subject_of_session(session, row, user)
        if touch and _is_stale(row.seen_at):
            await self._note(update(BrowserSession).where(BrowserSession.id == row.id).values(seen_at=now()))
        return AuthenticatedSubject(subject, is_stepped_up(row.stepped_up_at, now()))

    async def _subject_of_session(self, session: AsyncSession, row: BrowserSession, user: User) -> Subject:
        memberships = await list_memberships(session, user.id, row.team_id)
        if memberships:
            member = memberships[0]
        else:
            member = Member(await self._find_team(session) if user.is_instance_admin else "", "", "", ())
        return Subject(
            actor=user.email, via="session", team_id=member.team_id, user_id=user.id, role=member.role,
            session_id=row.id, grants=member.grants(is_instance_admin=user.is_instance_admin),
            is_instance_admin=user.is_instance_admin,
            teams=tuple(sorted((membership.team, membership.team_id) for membership in memberships)),
        )  # fmt: skip

    async def _machine_owner(self, actor: str, via: Via) -> Subject:
        if self._default_team is None:
            async with self._db.read() as session:
                self._default_team = await self._find_team(session) or None
        if self._default_team is None:
            async with self._db.write() as writing:
                self._default_team = (await ensure_default_team(writing)).id
        grants = team_wide(self._default_team, all_permissions())
        return Subject(actor, via, self._default_team, grants, role="owner", is_instance_admin=True)

    async def _find_team(self, session: AsyncSession) -> str:
        team = await find_default_team(session)
        return team.id if team else ""

    async def _note(self, statement: Update) -> None:
        """Store the time of use; an error is only logged, so that a full disk or busy database refuses no request."""
        try:
            async with self._db.write() as session:
                await session.execute(statement)
        except SQLAlchemyError as error:
            log.warning("use_not_noted", error=type(error).__name__)


def _read_bearer(headers: list[str]) -> str:
    scheme, _, text = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not 0 < len(text) <= _MAX_BEARER:
        raise NotSignedIn("The Authorization header cannot be read.", hint=_SIGN_IN)
    return text


def _holds(token: ApiToken, user: User | None, secret: str) -> bool:
    is_right = secrets.compare_digest(token.secret_hash, digest(secret))
    return is_right and now() < token.expires_at and (user is None or user.disabled_at is None)


async def _subject_of_token(session: AsyncSession, token: ApiToken, user: User | None) -> Subject:
    member: Member | None = Member(token.team_id, "", "owner", ())
    if user is not None:
        member = await find_member(session, user.id, token.team_id)
    if member is None:
        raise NotSignedIn("The user of this API token left the team.", hint=_SIGN_IN)
    held = member.grants(is_instance_admin=user is None or user.is_instance_admin)
    scopes = expand_scopes(token.scopes)
    grants = tuple(replace(grant, permissions=limit_to_scopes(grant.permissions, scopes)) for grant in held)
    return Subject(
        actor=user.email if user else f"token {token.name}", via="token", team_id=token.team_id, grants=grants,
        user_id=token.user_id, role=member.role, token_id=token.id,
        is_instance_admin=any("instance.admin" in grant.permissions for grant in grants),
    )  # fmt: skip


def _is_stale(at: datetime | None) -> bool:
    return at is None or (now() - at).total_seconds() >= _TOUCH_SECONDS
