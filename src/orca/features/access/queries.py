"""Reads about teams, memberships and API tokens."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import all_teams, now
from orca.errors import NotFound
from orca.features.access.models import ApiToken, Membership, Team
from orca.features.access.permissions import permissions_of
from orca.features.access.schemas import TokenFilter
from orca.features.identity.models import User
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

DEFAULT_TEAM = "default"


async def find_token_scope(session: AsyncSession, token_id: str) -> ObjectScope | None:
    """Return where a token belongs: to a team."""
    return await find_scope(session, select(ApiToken.team_id).where(ApiToken.id == token_id))


async def find_default_team(session: AsyncSession) -> Team | None:
    """Return the default team, which every instance starts with."""
    return await session.scalar(select(Team).where(Team.slug == DEFAULT_TEAM))


async def list_memberships(
    session: AsyncSession, user_id: str, chosen: str | None = None
) -> list[tuple[Membership, str]]:
    """Return a user's memberships with the name of the team: in the chosen team first, then as they were joined."""
    query = select(Membership, Team.name).join(Team, Team.id == Membership.team_id).where(Membership.user_id == user_id)
    rows = await session.execute(query.order_by(Membership.team_id != (chosen or ""), Membership.id))
    return [(membership, name) for membership, name in rows]


async def find_membership(session: AsyncSession, user_id: str, team_id: str | None = None) -> Membership | None:
    """Return a user's membership in a team; without a team, in the one that was joined first."""
    query = select(Membership).where(Membership.user_id == user_id).order_by(Membership.id).limit(1)
    return await session.scalar(query if team_id is None else query.where(Membership.team_id == team_id))


async def find_rights(session: AsyncSession, user_id: str, team_id: str) -> tuple[str, frozenset[str]]:
    """Return a user's e-mail and present permissions in a team; empty for a user who left or was disabled."""
    user = await session.get(User, user_id)
    if user is None:
        return "", frozenset()
    membership = await find_membership(session, user_id, team_id)
    if membership is None or user.disabled_at is not None:
        return user.email, frozenset()
    return user.email, permissions_of(membership.role, is_instance_admin=user.is_instance_admin)


async def find_token(session: AsyncSession, token_id: str) -> tuple[ApiToken, User | None] | None:
    """Return a token that was not revoked, and its user (None when it was created on the machine itself)."""
    row = (
        await session.execute(
            select(ApiToken, User)
            .outerjoin(User, User.id == ApiToken.user_id)
            .where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None))
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


async def get_token(session: AsyncSession, scope: Scope, token_id: str, user_id: str | None) -> ApiToken:
    """Return a valid token of the team; with a user, only if it is theirs."""
    query = select(ApiToken).where(
        ApiToken.id == token_id, ApiToken.team_id == scope.team_id, ApiToken.revoked_at.is_(None)
    )
    token = await session.scalar(query if user_id is None else query.where(ApiToken.user_id == user_id))
    if token is None:
        raise NotFound("there is no token with this id")
    return token


async def count_tokens(session: AsyncSession, user_id: str | None) -> int:
    """Count the valid tokens of a user in all teams; for None, those without a user."""
    living = ApiToken.revoked_at.is_(None) & (ApiToken.expires_at > now())
    query = select(func.count()).where(ApiToken.user_id == user_id, living)
    with all_teams(session):
        return await session.scalar(query) or 0


async def list_tokens(
    session: AsyncSession, scope: Scope, user_id: str | None, wanted: TokenFilter
) -> list[tuple[ApiToken, str | None]]:
    """Return valid tokens with the e-mail of their user, newest first; with a user, only theirs.

    Returns up to `limit + 1` rows, which shows the caller whether there are more.
    """
    query = (
        select(ApiToken, User.email)
        .outerjoin(User, User.id == ApiToken.user_id)
        .where(ApiToken.team_id == scope.team_id, ApiToken.revoked_at.is_(None))
        .order_by(ApiToken.id.desc())
        .limit(wanted.limit + 1)
    )
    if user_id is not None:
        query = query.where(ApiToken.user_id == user_id)
    if wanted.name is not None:
        query = query.where(ApiToken.name == wanted.name)
    if wanted.expires_before is not None:
        query = query.where(ApiToken.expires_at < wanted.expires_before)
    if wanted.cursor is not None:
        query = query.where(ApiToken.id < wanted.cursor)
    rows = await session.execute(query)
    return [(token, email) for token, email in rows]
