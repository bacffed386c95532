"""Writes of the users' own sessions and names: one function per verb, session first."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Forbidden, NotFound, NotSignedIn
from orca.events import Fact, origin, record
from orca.features.identity.models import BrowserSession, User
from orca.features.identity.queries import get_user
from orca.features.identity.rules import Lifetime
from orca.features.identity.schemas import AccountChanges
from orca.kit.crypto import digest, new_token
from orca.kit.text import clean_output, shorten
from orca.settings import Settings
from orca.web.guard import Subject

WRONG = "The e-mail or the password is wrong."
_AGENT_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Client:
    """The browser or program that sent the request."""

    ip: str | None
    agent: str = ""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session just opened or renewed, and its cookie value, of which only the hash is stored."""

    user: User
    session: BrowserSession
    token: str


def lifetime_of(settings: Settings) -> Lifetime:
    """Return how long sessions last, by the settings."""
    return Lifetime(timedelta(minutes=settings.session.idle_minutes), timedelta(hours=settings.session.absolute_hours))


async def open_browser_session(session: AsyncSession, user: User, client: Client, lifetime: Lifetime) -> OpenedSession:
    """Open a new session for a user whose password was just checked."""
    token, instant = new_token(), now()
    row = BrowserSession(
        user_id=user.id, token_hash=digest(token), seen_at=instant, expires_at=instant + lifetime.absolute,
        stepped_up_at=instant, ip=client.ip, agent=shorten(clean_output(client.agent, colours=False), _AGENT_LENGTH),
    )  # fmt: skip
    session.add(row)
    await session.flush()
    with acting_as(user):
        await record(session, Fact("SignedIn", object_type="user", object_id=user.id))
    return OpenedSession(user, row, token)


async def sign_out(session: AsyncSession, subject: Subject) -> None:
    """End the session this request came with, on the server."""
    user_id, session_id = of_browser(subject)
    await session.execute(delete(BrowserSession).where(BrowserSession.id == session_id))
    await record(session, Fact("SignedOut", object_type="user", object_id=user_id))


async def revoke_session(session: AsyncSession, subject: Subject, session_id: str) -> None:
    """End one of the user's own sessions."""
    user_id, _ = of_browser(subject)
    row = await session.get(BrowserSession, session_id)
    if row is None or row.user_id != user_id:
        raise NotFound("there is no session with this id")
    await session.delete(row)
    await record(session, Fact("SessionRevoked", object_type="session", object_id=session_id))


async def revoke_other_sessions(session: AsyncSession, subject: Subject) -> None:
    """End all of the user's own sessions except this one."""
    user_id, session_id = of_browser(subject)
    await end_other_sessions(session, user_id, session_id)
    await record(session, Fact("SessionRevoked", object_type="user", object_id=user_id, payload={"which": "others"}))


async def change_name(session: AsyncSession, subject: Subject, form: AccountChanges) -> User:
    """Change the user's own name, in the caller's transaction."""
    user_id, _ = of_browser(subject)
    user = await get_user(session, user_id)
    user.name = form.name
    await record(session, Fact("UserUpdated", object_type="user", object_id=user.id, payload={"changed": ["name"]}))
    return user


def of_browser(subject: Subject) -> tuple[str, str]:
    """Return user and session of a signed-in browser; raises for tokens, which may not manage their own account."""
    if subject.user_id is None or subject.session_id is None:
        raise Forbidden("Only a signed-in browser can do this.", hint="Sign in on the panel and do it there.")
    return subject.user_id, subject.session_id


@contextmanager
def acting_as(user: User) -> Iterator[None]:
    """Record the events inside with this user as actor, who was not known when the request arrived."""
    token = origin.set(replace(origin.get(), actor=user.email, via="session"))
    try:
        yield
    finally:
        origin.reset(token)


async def get_verified(session: AsyncSession, user_id: str, verified: str) -> User:
    """Read the user again in the writing transaction; raises if they were disabled or their password was changed."""
    user = await session.get(User, user_id, with_for_update=True)
    if user is None or user.disabled_at is not None or user.password_hash != verified:
        raise NotSignedIn(WRONG, hint="The account changed while you signed in; try again.")
    return user


async def renew_session(session: AsyncSession, user: User, subject: Subject) -> OpenedSession:
    """Replace the cookie value of the session, so that an older copy of it is invalid."""
    row = await session.get(BrowserSession, subject.session_id)
    if row is None:
        raise NotSignedIn("This session has ended.", hint="Sign in again.")
    token = new_token()
    row.token_hash, row.stepped_up_at = digest(token), now()
    return OpenedSession(user, row, token)


async def end_other_sessions(session: AsyncSession, user_id: str, session_id: str) -> None:
    """End the sessions of a user except one."""
    await session.execute(
        delete(BrowserSession).where(BrowserSession.user_id == user_id, BrowserSession.id != session_id)
    )
