"""Writes of the default team, of the team of a session, of API tokens, and of grants on parts of a team."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import all_teams, now
from orca.db.wall import ENVIRONMENTS
from orca.errors import BadInput, Conflict, Forbidden, NotFound
from orca.events import Fact, record
from orca.features.access.models import ApiToken, Membership, RoleGrant, Team
from orca.features.access.permissions import permissions_of_grant
from orca.features.access.queries import (
    DEFAULT_TEAM,
    count_tokens,
    find_default_team,
    find_member,
    find_part,
    get_grant,
    get_token,
    show_grant,
)
from orca.features.access.rules import GUEST, make_token, scopes_beyond
from orca.features.access.schemas import GrantIn, TokenIn
from orca.features.identity.actions import of_browser
from orca.features.identity.models import BrowserSession
from orca.features.identity.queries import find_user_by_email
from orca.kit.clock import format_instant
from orca.kit.crypto import digest, new_token
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.web.guard import Scope, Subject

MOST_TOKENS = 100
"""Valid tokens per user."""
MOST_GRANTS = 100
"""Grants per user and team: each request reads them, and every list asks by them."""


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token and its text, which is shown once."""

    row: ApiToken
    text: str


async def ensure_default_team(session: AsyncSession) -> Team:
    """Return the default team, which is created when it is missing."""
    team = await find_default_team(session)
    if team is None:
        team = Team(name="Default", slug=DEFAULT_TEAM)
        session.add(team)
        await session.flush()
        await record(session, Fact("TeamCreated", team.id, "team", team.id, {"name": team.name}))
    return team


async def enter_team(session: AsyncSession, subject: Subject, team_id: str) -> None:
    """Let a browser session work in another of its user's teams from the next request on. Raises NotFound."""
    user_id, session_id = of_browser(subject)
    with all_teams(session):
        member = await find_member(session, user_id, team_id)
    if member is None:
        raise NotFound("there is no team with this id")
    row = await session.get_one(BrowserSession, session_id)
    row.team_id = team_id
    await record(session, Fact("SessionTeamChanged", team_id, "user", user_id))


async def create_token(session: AsyncSession, subject: Subject, form: TokenIn) -> MadeToken:
    """Create an API token for the subject; its scopes may not exceed the subject's own permissions."""
    if subject.token_id is not None:
        raise Forbidden("An API token cannot make another one.", hint="Make it on the panel or on the machine itself.")
    beyond = scopes_beyond(form.scopes, subject.permissions_anywhere())
    if beyond:
        raise Forbidden(
            f"You cannot give a token what you may not do yourself: {', '.join(beyond)}.",
            hint="Choose among your own permissions; GET /api/v1/me lists them.",
        )
    if await count_tokens(session, subject.user_id) >= MOST_TOKENS:
        raise Conflict(f"You have {MOST_TOKENS} API tokens already.", hint="Revoke those that nothing uses any more.")
    token_id, secret = new_id(), new_token()
    row = ApiToken(
        id=token_id, team_id=subject.team_id, user_id=subject.user_id, name=form.name, secret_hash=digest(secret),
        scopes=form.scopes, expires_at=now() + timedelta(days=form.expires_in_days), used_at=None,
        revoked_at=None,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    payload = {"name": row.name, "scopes": row.scopes, "expires_at": format_instant(row.expires_at)}
    await record(session, Fact("TokenCreated", subject.team_id, "token", row.id, payload))
    return MadeToken(row, make_token(token_id, secret))


async def revoke_token(session: AsyncSession, subject: Subject, token_id: str) -> None:
    """Revoke a token at once: the subject's own, or with `token.manage` any of the team."""
    row = await get_token(session, Scope(subject.team_id), token_id, owner_filter(subject))
    row.revoked_at = now()
    await record(session, Fact("TokenRevoked", subject.team_id, "token", row.id, {"name": row.name}))


def owner_filter(subject: Subject) -> str | None:
    """Return the user whose tokens the subject may see; None for all of the team."""
    return None if subject.can("token.manage") else subject.user_id or ""


async def found_team(session: AsyncSession, _resources: Resources, fact: Fact) -> None:
    """Make the user who claims the instance the owner of its default team, in the same transaction."""
    team = await ensure_default_team(session)
    session.add(Membership(team_id=team.id, user_id=str(fact.object_id), role="owner"))
    await record(session, Fact("MemberAdded", team.id, "user", fact.object_id, {"role": "owner"}))


async def revoke_tokens_of(session: AsyncSession, _resources: Resources, fact: Fact) -> None:
    """Revoke the tokens of a user whose password was changed or reset: they may have been stolen, too."""
    living = update(ApiToken).where(ApiToken.user_id == fact.object_id, ApiToken.revoked_at.is_(None))
    await session.execute(living.values(revoked_at=now()))


async def add_grant(session: AsyncSession, subject: Subject, form: GrantIn) -> RoleGrant:
    """Give a user a role on a part of the team: at most what the subject may do there. Raises BadInput, Conflict."""
    scope = Scope(subject.team_id)
    part = await find_part(session, scope, form)
    beyond = permissions_of_grant(form.role) - subject.permissions_in(part)
    if beyond:
        raise Forbidden(
            f"You cannot let others do what you may not do there yourself: {', '.join(sorted(beyond))}.",
            hint="Give a lesser role, or ask an owner of the team.",
        )
    user = await find_user_by_email(session, form.email)
    if user is None:
        message = "there is no user with this e-mail"
        raise BadInput(f"email: {message}", fields={"email": message})
    await _ensure_member(session, scope, user.id)
    count = select(func.count()).where(RoleGrant.team_id == scope.team_id, RoleGrant.user_id == user.id)
    if (await session.scalar(count) or 0) >= MOST_GRANTS:
        raise Conflict(f"{user.email} has {MOST_GRANTS} grants already.", hint="Give a role in the whole team instead.")
    row = RoleGrant(
        team_id=scope.team_id, user_id=user.id, role=form.role, project_id=form.project_id,
        environment_id=form.environment_id, system_id=form.system_id,
    )  # fmt: skip
    session.add(row)
    try:
        await session.flush()
    except IntegrityError:
        hint = "Remove that grant first, then give the other role."
        raise Conflict(f"{form.email} has a role there already.", hint=hint) from None
    await _record_grant(session, "GrantAdded", row)
    return row


async def remove_grant(session: AsyncSession, subject: Subject, grant_id: str) -> None:
    """Take a role on a part of the team away. It ends with the user's next request."""
    row = await get_grant(session, Scope(subject.team_id), grant_id)
    await _record_grant(session, "GrantRemoved", row)
    await session.delete(row)
    await session.flush()


async def _ensure_member(session: AsyncSession, scope: Scope, user_id: str) -> None:
    found = select(Membership.id).where(Membership.team_id == scope.team_id, Membership.user_id == user_id)
    if await session.scalar(found) is None:
        session.add(Membership(team_id=scope.team_id, user_id=user_id, role=GUEST))
        await session.flush()
        await record(session, Fact("MemberAdded", scope.team_id, "user", user_id, {"role": GUEST}))


async def _record_grant(session: AsyncSession, fact_type: str, row: RoleGrant) -> None:
    shown = await show_grant(session, Scope(row.team_id), row)
    payload = shown.model_dump(include={"role", "part", "project_id", "environment_id", "system_id"}, exclude_none=True)
    await record(session, Fact(fact_type, row.team_id, "user", row.user_id, payload))


async def end_grants_on_environment(session: AsyncSession, _resources: Resources, fact: Fact) -> None:
    """Delete the grants on a deleted environment, whose row stays."""
    await session.execute(delete(RoleGrant).where(RoleGrant.environment_id == fact.object_id))


async def end_grants_on_project(session: AsyncSession, _resources: Resources, fact: Fact) -> None:
    """Delete the grants on a deleted project and on its environments, whose rows stay."""
    environments = select(ENVIRONMENTS.c.id).where(ENVIRONMENTS.c.project_id == fact.object_id)
    of_project = or_(RoleGrant.project_id == fact.object_id, RoleGrant.environment_id.in_(environments))
    await session.execute(delete(RoleGrant).where(of_project))
