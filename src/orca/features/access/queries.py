"""Reads about teams, their members, what these may do, and API tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import all_teams, now
from orca.db.pages import read_page
from orca.db.wall import ENVIRONMENTS
from orca.errors import BadInput, NotFound
from orca.features import all_directories, all_owners
from orca.features.access.models import ApiToken, Membership, RoleGrant, Team
from orca.features.access.permissions import permissions_of, permissions_of_grant
from orca.features.access.rules import GUEST
from orca.features.access.schemas import GrantFilter, GrantIn, GrantOut, TokenFilter
from orca.features.identity.models import User
from orca.features.identity.queries import find_emails
from orca.kit.pagination import Page
from orca.systems import System
from orca.web.guard import Scope
from orca.web.rights import Grant, ObjectScope, find_scope, permissions_within

DEFAULT_TEAM = "default"
MOST_SHOWN = 500
"""Members and grants that a page names."""


async def find_token_scope(session: AsyncSession, token_id: str) -> ObjectScope | None:
    """Return where a token belongs: to a team."""
    return await find_scope(session, select(ApiToken.team_id).where(ApiToken.id == token_id))


async def find_default_team(session: AsyncSession) -> Team | None:
    """Return the default team, which every instance starts with."""
    return await session.scalar(select(Team).where(Team.slug == DEFAULT_TEAM))


@dataclass(frozen=True, slots=True)
class Member:
    """A user in a team: the role in all of it, and the roles in parts of it."""

    team_id: str
    team: str
    role: str
    parts: tuple[RoleGrant, ...]

    def grants(self, *, is_instance_admin: bool) -> tuple[Grant, ...]:
        """Return what the user may do, and where."""
        permissions = permissions_of(self.role, is_instance_admin=is_instance_admin)
        whole = Grant(ObjectScope(self.team_id), permissions, is_own=self.role == GUEST)
        return whole, *(Grant(part.scope, permissions_of_grant(part.role)) for part in self.parts)


async def list_memberships(
    session: AsyncSession, user_id: str, chosen: str | None = None, *, only: str | None = None
) -> list[Member]:
    """Return a user as the member of teams: of the chosen one first, then as they were joined; or of one team `only`.

    A guest is a member of a team for as long as a part of it is granted.
    """
    query = (
        select(Membership, Team.name, RoleGrant)
        .join(Team, Team.id == Membership.team_id)
        .outerjoin(RoleGrant, (RoleGrant.team_id == Membership.team_id) & (RoleGrant.user_id == Membership.user_id))
        .where(Membership.user_id == user_id)
        .order_by(Membership.team_id != (chosen or ""), Membership.id, RoleGrant.id)
    )
    if only is not None:
        query = query.where(Membership.team_id == only)
    rows = (await session.execute(query)).all()
    parts: dict[str, list[RoleGrant]] = {}
    for membership, _, part in rows:
        parts.setdefault(membership.id, []).extend([part] if part else [])
    found = {
        membership.id: Member(membership.team_id, name, membership.role, tuple(parts[membership.id]))
        for membership, name, _ in rows
    }
    return [member for member in found.values() if member.parts or member.role != GUEST]


async def find_member(session: AsyncSession, user_id: str, team_id: str) -> Member | None:
    """Return a user as a member of a team; None for one who is none."""
    return next(iter(await list_memberships(session, user_id, only=team_id)), None)


async def find_rights(session: AsyncSession, user_id: str, scope: ObjectScope) -> tuple[str, frozenset[str]]:
    """Return a user's e-mail and present permissions for an object; empty for a user who left or was disabled."""
    user = await session.get(User, user_id)
    if user is None:
        return "", frozenset()
    member = await find_member(session, user_id, scope.team_id)
    if member is None or user.disabled_at is not None:
        return user.email, frozenset()
    grants = member.grants(is_instance_admin=user.is_instance_admin)
    return user.email, permissions_within(grants, scope)


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


async def find_grant_scope(session: AsyncSession, grant_id: str) -> ObjectScope | None:
    """Return where a grant belongs: to a team, whatever part of it is granted."""
    return await find_scope(session, select(RoleGrant.team_id).where(RoleGrant.id == grant_id))


async def find_part(session: AsyncSession, scope: Scope, wanted: GrantIn) -> ObjectScope:
    """Return the project, environment or system that a grant is wanted for. Raises BadInput for an unknown one."""
    if wanted.system_id is not None:
        is_known = await session.get(System, wanted.system_id) is not None
        part = ObjectScope(scope.team_id, system_id=wanted.system_id) if is_known else None
        return part or _no_such("system_id")
    name = "project_id" if wanted.project_id is not None else "environment_id"
    part = await all_owners()[name](session, wanted.project_id or wanted.environment_id or "")
    return part if part is not None and part.team_id == scope.team_id else _no_such(name)


def _no_such(name: str) -> NoReturn:
    message = f"there is no {name.removesuffix('_id')} with this id"
    raise BadInput(f"{name}: {message}", fields={name: message})


async def list_grants(session: AsyncSession, scope: Scope, wanted: GrantFilter) -> Page[GrantOut]:
    """Return the grants on parts of a team, newest first, with what the users and the parts are called."""
    page = await read_page(session, select(RoleGrant).where(RoleGrant.team_id == scope.team_id), RoleGrant, wanted)
    return Page(items=await _show(session, scope, page.items), next_cursor=page.next_cursor)


async def list_grants_of_project(session: AsyncSession, scope: Scope, project_id: str) -> list[GrantOut]:
    """Return the grants on a project and on its environments, oldest first."""
    environments = select(ENVIRONMENTS.c.id).where(ENVIRONMENTS.c.project_id == project_id)
    query = select(RoleGrant).where(
        RoleGrant.team_id == scope.team_id,
        or_(RoleGrant.project_id == project_id, RoleGrant.environment_id.in_(environments)),
    )
    return await _show(session, scope, (await session.scalars(query.order_by(RoleGrant.id).limit(MOST_SHOWN))).all())


async def show_grant(session: AsyncSession, scope: Scope, row: RoleGrant) -> GrantOut:
    """Return one grant with what its user and its part are called."""
    return (await _show(session, scope, [row]))[0]


async def _show(session: AsyncSession, scope: Scope, rows: Sequence[RoleGrant]) -> list[GrantOut]:
    emails = await find_emails(session, {row.user_id for row in rows})
    names: dict[str | None, str] = {}
    for kind in ("project", "environment"):
        ids = {part for row in rows if (part := getattr(row, f"{kind}_id"))}
        found = await all_directories()[kind].find_names(session, scope, ids) if ids else {}
        names |= {identifier: named.name for identifier, named in found.items()}
    systems = {row.system_id for row in rows if row.system_id}
    if systems:
        query = select(System.id, System.name).where(System.id.in_(systems))
        names |= {system_id: name for system_id, name in await session.execute(query)}  # noqa: C416 - rows are no pairs to mypy
    return [
        GrantOut.model_validate(row).model_copy(
            update={
                "user_email": emails.get(row.user_id, ""),
                "part": names.get(row.project_id or row.environment_id or row.system_id, ""),
            }
        )
        for row in rows
    ]


async def get_grant(session: AsyncSession, scope: Scope, grant_id: str) -> RoleGrant:
    """Return a grant on a part of the team. Raises NotFound."""
    query = select(RoleGrant).where(RoleGrant.id == grant_id, RoleGrant.team_id == scope.team_id)
    row = await session.scalar(query)
    if row is None:
        raise NotFound("there is no grant with this id")
    return row


async def list_members(session: AsyncSession, scope: Scope) -> list[tuple[str, str]]:
    """Return e-mail and role of those who have a role in all of a team, by e-mail."""
    query = (
        select(User.email, Membership.role)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.team_id == scope.team_id, Membership.role != GUEST, User.disabled_at.is_(None))
        .order_by(User.email)
        .limit(MOST_SHOWN)
    )
    return [(email, role) for email, role in await session.execute(query)]
