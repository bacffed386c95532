"""Pages: claim, sign in, sign out, account."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from orca.db import ReadSession, WriteSession, now
from orca.errors import Gone, OrcaError
from orca.features.identity.actions import (
    change_name,
    lifetime_of,
    of_browser,
    revoke_other_sessions,
    revoke_session,
    sign_out,
)
from orca.features.identity.api import CurrentClient
from orca.features.identity.claim import claim_instance
from orca.features.identity.cookies import clear_session_cookie, set_session_cookie
from orca.features.identity.models import BrowserSession, User
from orca.features.identity.operations import change_password, sign_in, step_up
from orca.features.identity.queries import get_user, is_claimed, list_browser_sessions
from orca.features.identity.rules import name_browser
from orca.features.identity.schemas import AccountChanges, ClaimIn, PasswordChange, SignIn, StepUp
from orca.web.forms import Filled, Form, fill
from orca.web.guard import (
    PUBLIC,
    SIGNED_IN,
    UNCLAIMED,
    CurrentResources,
    CurrentSubject,
    Router,
    Subject,
    guard,
    record_denial,
)
from orca.web.redirects import local_path, see_other
from orca.web.render import render

router = Router(include_in_schema=False)
SEE_OTHER = 303


@dataclass(frozen=True, slots=True)
class BarePage:
    """A page with one form."""

    form: Filled[Any] = field(default_factory=Filled)
    next: str = "/"


@router.get("/claim")
@guard(UNCLAIMED, page=True)
async def show_claim(request: Request, session: ReadSession) -> Response:
    """Show the claim page, the only one of an instance without an owner; otherwise redirect to the sign-in."""
    if await is_claimed(session):
        return RedirectResponse("/login", SEE_OTHER)
    return render(request, "identity/claim.html", BarePage())


@router.post("/claim")
@guard(UNCLAIMED, rate="claim", audit="InstanceClaimed", page=True)
async def claim(request: Request, resources: CurrentResources, client: CurrentClient, form: Form) -> Response:
    """Create the first owner, and sign them in."""
    shown = {key: value for key, value in form.items() if key in {"email", "name", "token"}}
    filled = fill(ClaimIn, form, shown)
    if filled.model is not None:
        try:
            opened = await claim_instance(resources, filled.model, client)
        except Gone:
            raise
        except OrcaError as error:
            await record_denial(request, error)
            return render(request, "identity/claim.html", BarePage(filled.refused(error)), status=error.status)
        response = RedirectResponse("/", SEE_OTHER)
        set_session_cookie(response, resources.settings, opened.token)
        return response
    return render(request, "identity/claim.html", BarePage(filled), status=422)


@router.get("/login")
@guard(PUBLIC, page=True)
async def show_login(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name of the query parameter
    """Show the sign-in page; a user who is already signed in is redirected."""
    subject: Subject | None = request.state.subject
    if subject is not None and subject.session_id is not None:
        return RedirectResponse(local_path(next), SEE_OTHER)
    return render(request, "identity/login.html", BarePage(next=local_path(next)))


@router.post("/login")
@guard(PUBLIC, rate="login", audit="SignedIn", page=True)
async def login(request: Request, resources: CurrentResources, client: CurrentClient, form: Form) -> Response:
    """Check the password; a wrong one and an unknown address look the same."""
    target = local_path(form.get("next", "/"))
    data = {key: value for key, value in form.items() if key != "next"}
    filled = fill(SignIn, data, {"email": form.get("email", "")})
    if filled.model is None:
        return render(request, "identity/login.html", BarePage(filled, target), status=422)
    before: Subject | None = request.state.subject
    try:
        opened = await sign_in(resources, filled.model, client, replaces=before.session_id if before else None)
    except OrcaError as error:
        await record_denial(request, error)
        return render(request, "identity/login.html", BarePage(filled.refused(error), target), status=error.status)
    response = RedirectResponse(target, SEE_OTHER)
    set_session_cookie(response, resources.settings, opened.token)
    return response


@router.post("/logout")
@guard(SIGNED_IN, rate="write", audit="SignedOut", page=True)
async def logout(session: WriteSession, subject: CurrentSubject, resources: CurrentResources) -> Response:
    """End the session on the server."""
    await sign_out(session, subject)
    response = RedirectResponse("/login", SEE_OTHER)
    clear_session_cookie(response, resources.settings)
    return response


@dataclass(frozen=True, slots=True)
class AccountPage:
    """The page of the user's own account."""

    user: User | None
    sessions: Sequence[tuple[BrowserSession, str]]
    """Sessions with the names of their browsers."""
    current_session: str
    form: Filled[Any] = field(default_factory=Filled)
    """The form that changes the password."""
    name_form: Filled[Any] = field(default_factory=Filled)


@router.get("/account")
@guard(SIGNED_IN, page=True)
async def show_account(
    request: Request, session: ReadSession, subject: CurrentSubject, resources: CurrentResources
) -> Response:
    """Show name, password form and sessions."""
    return render(request, "identity/account.html", await _account(session, subject, resources))


async def _account(session: ReadSession, subject: CurrentSubject, resources: CurrentResources) -> AccountPage:
    if subject.user_id is None or subject.session_id is None:
        return AccountPage(None, (), "")
    rows = await list_browser_sessions(session, subject.user_id, lifetime_of(resources.settings), now())
    named = [(row, name_browser(row.agent)) for row in rows]
    return AccountPage(await get_user(session, subject.user_id), named, subject.session_id)


@router.post("/account/name")
@guard(SIGNED_IN, rate="write", audit="UserUpdated", page=True)
async def save_name(
    request: Request, session: WriteSession, subject: CurrentSubject, resources: CurrentResources, form: Form
) -> Response:
    """Change the user's name, which others see beside the e-mail."""
    filled = fill(AccountChanges, form, form)
    if filled.model is None:
        page = replace(await _account(session, subject, resources), name_form=filled)
        return render(request, "identity/account.html", page, status=422)
    await change_name(session, subject, filled.model)
    return see_other(request, "/account", said="The name is saved")


@router.post("/account/password")
@guard(SIGNED_IN, rate="login", audit="PasswordChanged", page=True)
async def save_password(
    request: Request, subject: CurrentSubject, resources: CurrentResources, client: CurrentClient, form: Form
) -> Response:
    """Change the password; this ends every other session."""
    filled = fill(PasswordChange, form, {})
    status = 422
    if filled.model is not None:
        try:
            opened = await change_password(resources, subject, filled.model, client)
        except OrcaError as error:
            await record_denial(request, error)
            filled, status = filled.refused(error), error.status
        else:
            response = see_other(request, "/account", said="The password is changed")
            set_session_cookie(response, resources.settings, opened.token)
            return response
    async with resources.db.read() as session:
        page = replace(await _account(session, subject, resources), form=filled)
    return render(request, "identity/account.html", page, status=status)


@router.post("/account/step-up")
@guard(SIGNED_IN, rate="login", audit="SteppedUp", page=True)
async def confirm_password(
    request: Request, subject: CurrentSubject, resources: CurrentResources, client: CurrentClient, form: Form
) -> Response:
    """Check the password again, then redirect to the page that required it."""
    of_browser(subject)
    target = local_path(form.get("next", "/account"))
    filled = fill(StepUp, {"password": form.get("password", "")}, {})
    if filled.model is not None:
        try:
            opened = await step_up(resources, subject, filled.model.password, client)
        except OrcaError as error:
            await record_denial(request, error)
            filled = filled.refused(error)
        else:
            response = RedirectResponse(target, SEE_OTHER)
            set_session_cookie(response, resources.settings, opened.token)
            return response
    return render(request, "identity/step_up.html", BarePage(filled, target), status=422)


@router.get("/account/step-up")
@guard(SIGNED_IN, page=True)
async def show_step_up(request: Request, next: str = "/account") -> Response:  # noqa: A002 - the query parameter
    """Show the form that asks for the password again."""
    return render(request, "identity/step_up.html", BarePage(next=local_path(next)))


@router.post("/account/sessions/others/delete")
@guard(SIGNED_IN, rate="write", audit="SessionRevoked", page=True)
async def end_other_sessions(session: WriteSession, subject: CurrentSubject) -> Response:
    """Sign out everywhere else."""
    await revoke_other_sessions(session, subject)
    return RedirectResponse("/account", SEE_OTHER)


@router.post("/account/sessions/{session_id}/delete")
@guard(SIGNED_IN, rate="write", audit="SessionRevoked", page=True)
async def end_session(session_id: str, session: WriteSession, subject: CurrentSubject) -> Response:
    """Sign out one other browser."""
    await revoke_session(session, subject, session_id)
    return RedirectResponse("/account", SEE_OTHER)
