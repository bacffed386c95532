"""The page of API tokens, and the switch to another team."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from orca.db import ReadSession, WriteSession
from orca.errors import OrcaError, StepUpRequired
from orca.features.access.actions import create_token, enter_team, owner_filter, revoke_token
from orca.features.access.models import ApiToken
from orca.features.access.permissions import all_roles
from orca.features.access.queries import list_tokens
from orca.features.access.schemas import TokenFilter, TokenIn
from orca.web.forms import Filled, Form, fill
from orca.web.guard import SIGNED_IN, CurrentScope, CurrentSubject, Router, Subject, guard
from orca.web.lists import AskedOf, Column, Listing, ListQuery, ListSpec, arrange
from orca.web.render import render, render_list

router = Router(include_in_schema=False)
SEE_OTHER = 303
PRESETS = {"deploy": "Deploy", "read": "Read everything", "all": "Everything that I may do"}
_DEPLOY = ("project.read", "service.read", "service.deploy", "deployment.read", "credential.create", "hook.create")


def _scopes_of(preset: str, subject: Subject) -> list[str]:
    """Return the scopes that a choice stands for; those for reading where there is no such choice.

    What the subject may not do is left out, but for what the choice is named after.
    """
    reading = sorted(name for name in all_roles()["viewer"] if name.endswith(".read"))
    may = {*subject.permissions_anywhere(), "*", "service.deploy"}
    return [scope for scope in {"deploy": _DEPLOY, "all": ("*",)}.get(preset, reading) if scope in may]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token and the e-mail of its user."""

    id: str
    name: str
    token: ApiToken
    of: str


_AS_USUAL = ListQuery()
_MOST = 5000
_NEVER = datetime.min.replace(tzinfo=UTC)
_SPEC: ListSpec[TokenRow] = ListSpec(
    name="tokens",
    columns=(
        Column("name", "Token", sorts=True), Column("may", "May", optional=True), Column("of", "Of", sorts=True),
        Column("used", "Last used", sorts=True, optional=True), Column("expires", "Expires", sorts=True),
        Column("actions", ""),
    ),
    text=lambda row: f"{row.name} {row.of}",
    keys={
        "name": lambda row: row.name.casefold(), "of": lambda row: row.of.casefold(), "made": lambda row: row.id,
        "used": lambda row: row.token.used_at or _NEVER, "expires": lambda row: row.token.expires_at or _NEVER,
    },
    usual_sort="-made", identity=lambda row: row.id,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokensPage:
    """The tokens, and the form that creates one."""

    listing: Listing[TokenRow]
    presets: Mapping[str, str]
    form: Filled[TokenIn] = field(default_factory=Filled)
    made: str = ""


async def _page(
    session: ReadSession,
    scope: CurrentScope,
    subject: CurrentSubject,
    asked: ListQuery = _AS_USUAL,
    *,
    form: Filled[TokenIn] | None = None,
    made: str = "",
) -> TokensPage:
    found = await list_tokens(session, scope, owner_filter(subject), TokenFilter.model_construct(limit=_MOST))
    rows = [TokenRow(token.id, token.name, token, email or "this machine") for token, email in found]
    return TokensPage(arrange(rows, asked, _SPEC, "/tokens"), PRESETS, form or Filled(), made)


@router.get("/tokens")
@guard("token.read", page=True)
async def show_tokens(
    request: Request, session: ReadSession, scope: CurrentScope, subject: CurrentSubject, asked: AskedOf
) -> Response:
    """List the valid tokens."""
    page = await _page(session, scope, subject, asked)
    return render_list(request, "access/tokens.html", page, page.listing)


@router.post("/tokens")
@guard("token.create", rate="reveal", audit="TokenCreated", page=True)
async def make_token(
    request: Request, session: WriteSession, scope: CurrentScope, subject: CurrentSubject, form: Form
) -> Response:
    """Create a token and show it, which happens only once."""
    scopes = _scopes_of(form.get("preset", ""), subject)
    data = {"name": form.get("name", ""), "scopes": scopes, "expires_in_days": form.get("expires_in_days", "90")}
    filled = fill(TokenIn, data, form)
    if filled.model is not None:
        try:
            made = await create_token(session, subject, filled.model)
        except StepUpRequired:
            return RedirectResponse("/account/step-up?next=/tokens", SEE_OTHER)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return render(request, "access/tokens.html", await _page(session, scope, subject, made=made.text))
    await session.rollback()
    return render(request, "access/tokens.html", await _page(session, scope, subject, form=filled), status=422)


@router.post("/teams/{team_id}/enter")
@guard(SIGNED_IN, rate="write", audit="SessionTeamChanged", page=True)
async def switch_team(team_id: str, session: WriteSession, subject: CurrentSubject) -> Response:
    """Work in another of one's teams."""
    await enter_team(session, subject, team_id)
    return RedirectResponse("/", SEE_OTHER)


@router.post("/tokens/{token_id}/revoke")
@guard("token.revoke", tenant="token_id", rate="write", audit="TokenRevoked", page=True)
async def end_token(token_id: str, session: WriteSession, subject: CurrentSubject) -> Response:
    """Revoke a token. It stops working at once."""
    await revoke_token(session, subject, token_id)
    return RedirectResponse("/tokens", SEE_OTHER)
