"""Writes of the default team, which every instance starts with, of the team of a session, and of API tokens."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import all_teams, now
from orca.errors import Conflict, Forbidden, NotFound
from orca.events import Fact, record
from orca.features.access.models import ApiToken, Membership, Team
from orca.features.access.queries import DEFAULT_TEAM, count_tokens, find_default_team, find_membership, get_token
from orca.features.access.rules import make_token, scopes_beyond
from orca.features.access.schemas import TokenIn
from orca.features.identity.actions import of_browser
from orca.features.identity.models import BrowserSession
from orca.kit.clock import format_instant
from orca.kit.crypto import digest, new_token
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.web.guard import Scope, Subject

MOST_TOKENS = 100
"""Valid tokens per user."""


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
        membership = await find_membership(session, user_id, team_id)
    if membership is None:
        raise NotFound("there is no team with this id")
    row = await session.get_one(BrowserSession, session_id)
    row.team_id = team_id
    await record(session, Fact("SessionTeamChanged", team_id, "user", user_id))


async def create_token(session: AsyncSession, subject: Subject, form: TokenIn) -> MadeToken:
    """Create an API token for the subject; its scopes may not exceed the subject's own permissions."""
    if subject.token_id is not None:
        raise Forbidden("An API token cannot make another one.", hint="Make it on the panel or on the machine itself.")
    beyond = scopes_beyond(form.scopes, subject.permissions)
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
        scopes=sorted(set(form.scopes)), expires_at=now() + timedelta(days=form.expires_in_days), used_at=None,
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
