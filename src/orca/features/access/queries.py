"""Reads about teams, memberships and API tokens."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import NotFound
from orca.features.access.models import ApiToken, Membership, Team
from orca.features.access.rules import permissions_of
from orca.features.identity.models import User
from orca.web.guard import Scope, tenant_resolver

DEFAULT_TEAM = "default"


@tenant_resolver("token_id")
async def team_of_token(session: AsyncSession, token_id: str) -> str | None:
    """Which team a token acts in."""
    return await session.scalar(select(ApiToken.team_id).where(ApiToken.id == token_id))


async def find_default_team(session: AsyncSession) -> Team | None:
    """The team that every instance starts with."""
    return await session.scalar(select(Team).where(Team.slug == DEFAULT_TEAM))


async def find_membership(session: AsyncSession, user_id: str, team_id: str | None = None) -> Membership | None:
    """A user's role in a team; without a team, in the one that was joined first."""
    query = select(Membership).where(Membership.user_id == user_id).order_by(Membership.id).limit(1)
    return await session.scalar(query if team_id is None else query.where(Membership.team_id == team_id))


async def find_rights(session: AsyncSession, user_id: str, team_id: str) -> tuple[str, frozenset[str]]:
    """E-mail of a user and what they may do in a team now; nothing for one who left or was disabled."""
    user = await session.get(User, user_id)
    if user is None:
        return "", frozenset()
    membership = await find_membership(session, user_id, team_id)
    if membership is None or user.disabled_at is not None:
        return user.email, frozenset()
    return user.email, permissions_of(membership.role, is_instance_admin=user.is_instance_admin)


async def find_token(session: AsyncSession, token_id: str) -> tuple[ApiToken, User | None] | None:
    """A token that was not revoked, and its user (none when it was made on the machine itself)."""
    row = (
        await session.execute(
            select(ApiToken, User)
            .outerjoin(User, User.id == ApiToken.user_id)
            .where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None))
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


async def get_token(session: AsyncSession, scope: Scope, token_id: str, user_id: str | None) -> ApiToken:
    """A living token of the team; with a user only if it is theirs."""
    query = select(ApiToken).where(
        ApiToken.id == token_id, ApiToken.team_id == scope.team_id, ApiToken.revoked_at.is_(None)
    )
    token = await session.scalar(query if user_id is None else query.where(ApiToken.user_id == user_id))
    if token is None:
        raise NotFound("there is no token with this id")
    return token


async def count_tokens(session: AsyncSession, user_id: str | None) -> int:
    """How many tokens of a user would be accepted now; of those without a user for None."""
    living = ApiToken.revoked_at.is_(None) & (ApiToken.expires_at > now())
    query = select(func.count()).where(ApiToken.user_id == user_id, living)
    return await session.scalar(query) or 0


async def list_tokens(
    session: AsyncSession, scope: Scope, user_id: str | None, *, limit: int, cursor: str | None = None
) -> list[tuple[ApiToken, str | None]]:
    """Living tokens with the e-mail of their user, newest first; `limit + 1` rows, so that one sees if there are more.

    With a user, only theirs.
    """
    query = (
        select(ApiToken, User.email)
        .outerjoin(User, User.id == ApiToken.user_id)
        .where(ApiToken.team_id == scope.team_id, ApiToken.revoked_at.is_(None))
        .order_by(ApiToken.id.desc())
        .limit(limit + 1)
    )
    if user_id is not None:
        query = query.where(ApiToken.user_id == user_id)
    if cursor is not None:
        query = query.where(ApiToken.id < cursor)
    rows = await session.execute(query)
    return [(token, email) for token, email in rows]
