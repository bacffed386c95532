"""The page of API tokens, and the switch to another team."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from orca.db import ReadSession, WriteSession
from orca.errors import OrcaError, StepUpRequired
from orca.features.access.actions import create_token, enter_team, owner_filter, revoke_token
from orca.features.access.models import ApiToken
from orca.features.access.permissions import all_roles
from orca.features.access.queries import list_tokens
from orca.features.access.schemas import TokenFilter, TokenIn
from orca.kit.pagination import Cursor, cut_page
from orca.web.forms import Filled, Form, fill
from orca.web.guard import SIGNED_IN, CurrentScope, CurrentSubject, Router, Subject, guard
from orca.web.render import render

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
class TokensPage:
    """The tokens, and the form that creates one."""

    tokens: Sequence[tuple[ApiToken, str]]
    next_cursor: str | None
    presets: Mapping[str, str]
    form: Filled[TokenIn] = field(default_factory=Filled)
    made: str = ""


async def _page(
    session: ReadSession,
    scope: CurrentScope,
    subject: CurrentSubject,
    cursor: str | None = None,
    *,
    form: Filled[TokenIn] | None = None,
    made: str = "",
) -> TokensPage:
    rows = await list_tokens(session, scope, owner_filter(subject), TokenFilter(cursor=cursor))
    tokens, _ = cut_page([(token, email or "this machine") for token, email in rows][:50], 50)
    following = rows[49][0].id if len(rows) > 50 else None  # noqa: PLR2004 - one more than a page was asked for
    return TokensPage(tokens, following, PRESETS, form or Filled(), made)


@router.get("/tokens")
@guard("token.read", page=True)
async def show_tokens(
    request: Request, session: ReadSession, scope: CurrentScope, subject: CurrentSubject, cursor: Cursor = None
) -> Response:
    """List the valid tokens."""
    return render(request, "access/tokens.html", await _page(session, scope, subject, cursor))


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
