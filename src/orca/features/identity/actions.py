"""Sign in and out, and manage the user's own password and sessions.

Functions that check a password take `resources` instead of a session: hashing is slow and stays outside transactions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import SecretStr
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict, Forbidden, NotFound, NotSignedIn
from orca.events import Fact, origin, record
from orca.features.identity.attempts import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_PEER,
    account_key,
    forget_account,
    forget_attempts,
    peer_key,
    peer_prefix,
    place_key,
    refund_attempts,
    session_key,
    spend_attempts,
)
from orca.features.identity.models import BrowserSession, User
from orca.features.identity.passwords import hash_password, is_outdated, is_password
from orca.features.identity.queries import find_user_by_email, get_user, list_places, list_users
from orca.features.identity.rules import Lifetime, password_problem
from orca.features.identity.schemas import AccountChanges, PasswordChange, PasswordReset, SignIn
from orca.kit.crypto import digest, new_token
from orca.kit.text import clean_output, shorten
from orca.resources import Resources
from orca.settings import Settings
from orca.web.guard import Subject

WRONG = "The e-mail or the password is wrong."
_AGENT_LENGTH = 255
_PLACES_FOR = timedelta(days=90)
"""How long the address of a sign-in counts as a known place of the user."""


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


async def sign_in(resources: Resources, form: SignIn, client: Client, *, replaces: str | None = None) -> OpenedSession:
    """Open a session; unknown user, disabled user and wrong password raise the same error.

    `replaces`: the session this browser had before.
    """
    async with resources.db.read() as session:
        user = await find_user_by_email(session, form.email)
        tries = await _key_of_tries(session, user, form.email, client)
    await spend_attempts(resources.db, {tries: LOGIN_BY_ACCOUNT})
    verified = user.password_hash if user else None
    is_right = await is_password(verified, form.password.get_secret_value())
    if user is None or verified is None or not is_right:
        raise NotSignedIn(WRONG, hint="Check both, and whether Caps Lock is on.")
    renewed = await hash_password(form.password.get_secret_value()) if is_outdated(verified) else verified
    async with resources.db.write() as session:
        user = await _get_verified(session, user.id, verified)
        user.password_hash = renewed
        await forget_attempts(session, tries)
        await refund_attempts(session, {peer_key("login", client.ip): LOGIN_BY_PEER})
        await session.execute(delete(BrowserSession).where(BrowserSession.id == replaces))
        await session.execute(
            delete(BrowserSession).where(BrowserSession.user_id == user.id, BrowserSession.expires_at <= now())
        )
        return await open_browser_session(session, user, client, lifetime_of(resources.settings))


async def _key_of_tries(session: AsyncSession, user: User | None, email: str, client: Client) -> str:
    """Return the key that counts attempts: from a known place of the user, one that other places cannot use up.

    The places are also read for unknown accounts, so that these take as long.
    """
    places = await list_places(session, user.id if user else "", now() - _PLACES_FOR)
    is_known = peer_prefix(client.ip) in {peer_prefix(ip) for ip in places}
    return place_key(email, client.ip) if is_known else account_key(email)


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
    await _end_others(session, user_id, session_id)
    await record(session, Fact("SessionRevoked", object_type="user", object_id=user_id, payload={"which": "others"}))


async def step_up(resources: Resources, subject: Subject, password: SecretStr, client: Client) -> OpenedSession:
    """Check the user's password again, so that secrets may be shown for ten minutes."""
    user, verified = await _check_own_password(resources, subject, password, client)
    async with resources.db.write() as session:
        user = await _get_verified(session, user.id, verified)
        opened = await _renew(session, user, subject)
        await record(session, Fact("SteppedUp", object_type="user", object_id=user.id))
    return opened


async def change_password(
    resources: Resources, subject: Subject, form: PasswordChange, client: Client
) -> OpenedSession:
    """Replace the user's own password and end every other session; subscribers of the event revoke API tokens."""
    user, verified = await _check_own_password(resources, subject, form.current_password, client)
    replacement = await hash_new_password(form.new_password, email=user.email, name=user.name, field="new_password")
    async with resources.db.write() as session:
        user = await _get_verified(session, user.id, verified)
        user.password_hash, user.password_changed_at = replacement, now()
        opened = await _renew(session, user, subject)
        await _end_others(session, user.id, opened.session.id)
        await record(session, Fact("PasswordChanged", object_type="user", object_id=user.id))
    return opened


async def change_name(session: AsyncSession, subject: Subject, form: AccountChanges) -> User:
    """Change the user's own name, in the caller's transaction."""
    user_id, _ = of_browser(subject)
    user = await get_user(session, user_id)
    user.name = form.name
    await record(session, Fact("UserUpdated", object_type="user", object_id=user.id, payload={"changed": ["name"]}))
    return user


async def reset_password(resources: Resources, subject: Subject, form: PasswordReset) -> User:
    """Replace a forgotten password; only Orca's own user on its machine may. Ends sessions, lifts a lock-out."""
    if subject.via != "socket":
        hint = "There, as the user that runs Orca: `orc account reset-password`."
        raise Forbidden("A forgotten password is replaced on Orca's own machine only.", hint=hint)
    async with resources.db.read() as session:
        user = await _get_account(session, form.email)
    replacement = await hash_new_password(form.password, email=user.email, name=user.name, field="password")
    async with resources.db.write() as session:
        user = await get_user(session, user.id)
        user.password_hash, user.password_changed_at = replacement, now()
        await session.execute(delete(BrowserSession).where(BrowserSession.user_id == user.id))
        await forget_account(session, user.email)
        await record(session, Fact("PasswordReset", object_type="user", object_id=user.id, payload={"of": user.email}))
    return user


async def hash_new_password(password: SecretStr, *, email: str, name: str, field: str) -> str:
    """Hash a password that follows the policy; raises BadInput that names `field`."""
    problem = password_problem(password.get_secret_value(), email=email, name=name)
    if problem is not None:
        raise BadInput(f"This password cannot be used: {problem}.", fields={field: problem})
    return await hash_password(password.get_secret_value())


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


async def _get_account(session: AsyncSession, email: str | None) -> User:
    """Return the user with this e-mail, or the only user. Raises NotFound, or Conflict when there are several."""
    known = await list_users(session, limit=20)
    if not known:
        raise NotFound("this Orca is not claimed yet", hint="Open the claim link that Orca printed at its start.")
    if email is None and len(known) > 1:
        raise Conflict("There are several accounts.", hint=f"Name one: {_emails(known)}.")
    user = known[0] if email is None else await find_user_by_email(session, email)
    if user is None:
        raise NotFound("there is no account with this e-mail", hint=f"There is {_emails(known)}.")
    return user


def _emails(users: Sequence[User]) -> str:
    return ", ".join(user.email for user in users)


async def _check_own_password(
    resources: Resources, subject: Subject, password: SecretStr, client: Client
) -> tuple[User, str]:
    user_id, session_id = of_browser(subject)
    async with resources.db.read() as session:
        user = await get_user(session, user_id)
    tries = session_key(session_id)
    await spend_attempts(resources.db, {tries: LOGIN_BY_ACCOUNT})
    if not await is_password(user.password_hash, password.get_secret_value()):
        raise Forbidden("This is not your password.", hint="Check whether Caps Lock is on.")
    async with resources.db.write() as session:
        await forget_attempts(session, tries)
        await refund_attempts(session, {peer_key("login", client.ip): LOGIN_BY_PEER})
    return user, user.password_hash


async def _get_verified(session: AsyncSession, user_id: str, verified: str) -> User:
    """Read the user again in the writing transaction; raises if they were disabled or their password was changed."""
    user = await session.get(User, user_id, with_for_update=True)
    if user is None or user.disabled_at is not None or user.password_hash != verified:
        raise NotSignedIn(WRONG, hint="The account changed while you signed in; try again.")
    return user


async def _renew(session: AsyncSession, user: User, subject: Subject) -> OpenedSession:
    """Replace the cookie value of the session, so that an older copy of it is invalid."""
    row = await session.get(BrowserSession, subject.session_id)
    if row is None:
        raise NotSignedIn("This session has ended.", hint="Sign in again.")
    token = new_token()
    row.token_hash, row.stepped_up_at = digest(token), now()
    return OpenedSession(user, row, token)


async def _end_others(session: AsyncSession, user_id: str, session_id: str) -> None:
    await session.execute(
        delete(BrowserSession).where(BrowserSession.user_id == user_id, BrowserSession.id != session_id)
    )
