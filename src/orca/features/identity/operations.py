"""Signs in and replaces passwords: hashing is slow, so it stays outside transactions, which these functions open."""

from collections.abc import Sequence
from datetime import timedelta

from pydantic import SecretStr
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict, Forbidden, NotFound, NotSignedIn
from orca.events import Fact, record
from orca.features.identity.actions import (
    WRONG,
    Client,
    OpenedSession,
    end_other_sessions,
    get_verified,
    lifetime_of,
    of_browser,
    open_browser_session,
    renew_session,
)
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
from orca.features.identity.rules import password_problem
from orca.features.identity.schemas import PasswordChange, PasswordReset, SignIn
from orca.resources import Resources
from orca.web.guard import Subject

_PLACES_FOR = timedelta(days=90)
"""How long the address of a sign-in counts as a known place of the user."""


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
        user = await get_verified(session, user.id, verified)
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


async def step_up(resources: Resources, subject: Subject, password: SecretStr, client: Client) -> OpenedSession:
    """Check the user's password again, so that secrets may be shown for ten minutes."""
    user, verified = await _check_own_password(resources, subject, password, client)
    async with resources.db.write() as session:
        user = await get_verified(session, user.id, verified)
        opened = await renew_session(session, user, subject)
        await record(session, Fact("SteppedUp", object_type="user", object_id=user.id))
    return opened


async def change_password(
    resources: Resources, subject: Subject, form: PasswordChange, client: Client
) -> OpenedSession:
    """Replace the user's own password and end every other session; subscribers of the event revoke API tokens."""
    user, verified = await _check_own_password(resources, subject, form.current_password, client)
    replacement = await hash_new_password(form.new_password, email=user.email, name=user.name, field="new_password")
    async with resources.db.write() as session:
        user = await get_verified(session, user.id, verified)
        user.password_hash, user.password_changed_at = replacement, now()
        opened = await renew_session(session, user, subject)
        await end_other_sessions(session, user.id, opened.session.id)
        await record(session, Fact("PasswordChanged", object_type="user", object_id=user.id))
    return opened


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
