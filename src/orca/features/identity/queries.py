"""Reads of users and their browser sessions."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import NotFound
from orca.events import Event
from orca.features.identity.models import BrowserSession, Claim, User
from orca.features.identity.rules import Lifetime
from orca.kit.crypto import digest

_SIGN_INS = 200


async def get_user(session: AsyncSession, user_id: str) -> User:
    """Return a user by id."""
    user = await session.get(User, user_id)
    if user is None:
        raise NotFound("there is no user with this id")
    return user


async def find_user_by_email(session: AsyncSession, email: str) -> User | None:
    """Return a user who may sign in, by normalised e-mail."""
    return await session.scalar(select(User).where(User.email == email, User.disabled_at.is_(None)))


async def find_emails(session: AsyncSession, ids: Collection[str]) -> dict[str, str]:
    """Return the e-mails of users by their ids."""
    rows = await session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return {identifier: email for identifier, email in rows}  # noqa: C416 - rows are no pairs to mypy


async def list_users(session: AsyncSession, *, limit: int) -> Sequence[User]:
    """List users who may sign in, oldest first."""
    query = select(User).where(User.disabled_at.is_(None)).order_by(User.id).limit(limit)
    return (await session.scalars(query)).all()


async def find_browser_session(
    session: AsyncSession, token: str, lifetime: Lifetime, instant: datetime
) -> tuple[BrowserSession, User] | None:
    """Return the valid session of a cookie, and its user; None when it ended, was revoked, or never existed."""
    row = (
        await session.execute(
            select(BrowserSession, User)
            .join(User, User.id == BrowserSession.user_id)
            .where(BrowserSession.token_hash == digest(token), User.disabled_at.is_(None))
        )
    ).one_or_none()
    if row is None:
        return None
    found, user = row
    if lifetime.is_over(seen_at=found.seen_at, expires_at=found.expires_at, instant=instant):
        return None
    return found, user


async def list_browser_sessions(
    session: AsyncSession, user_id: str, lifetime: Lifetime, instant: datetime
) -> list[BrowserSession]:
    """List the valid sessions of a user, newest first."""
    rows = await session.scalars(
        select(BrowserSession)
        .where(
            BrowserSession.user_id == user_id,
            BrowserSession.expires_at > instant,
            BrowserSession.seen_at > instant - lifetime.idle,
        )
        .order_by(BrowserSession.id.desc())
        .limit(200)
    )
    return list(rows)


async def list_places(session: AsyncSession, user_id: str, since: datetime) -> set[str | None]:
    """Return the addresses of a user's latest sign-ins."""
    query = select(Event.ip).where(Event.object_id == user_id, Event.type == "SignedIn", Event.at > since)
    return set((await session.scalars(query.order_by(Event.seq.desc()).limit(_SIGN_INS))).all())


async def is_claimed(session: AsyncSession) -> bool:
    """Whether this instance has an owner."""
    return await session.scalar(select(Claim.claimed_at).where(Claim.id == 1)) is not None
