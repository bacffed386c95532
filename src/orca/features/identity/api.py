"""REST doors of signing in and out, the claim, and the user's own account."""

from typing import Annotated

from fastapi import Depends, Request, Response

from orca.db import ReadSession, WriteSession, now
from orca.features.identity.actions import (
    Client,
    OpenedSession,
    change_name,
    lifetime_of,
    of_browser,
    revoke_other_sessions,
    revoke_session,
    sign_out,
)
from orca.features.identity.claim import claim_instance
from orca.features.identity.cookies import clear_session_cookie, set_session_cookie
from orca.features.identity.operations import change_password, reset_password, sign_in, step_up
from orca.features.identity.queries import get_user, list_browser_sessions
from orca.features.identity.schemas import (
    AccountChanges,
    ClaimIn,
    MeOut,
    PartOut,
    PasswordChange,
    PasswordReset,
    SessionOut,
    SignedInOut,
    SignIn,
    StepUp,
    UserOut,
)
from orca.kit.pagination import Page
from orca.resources import Resources
from orca.web.guard import (
    PUBLIC,
    SIGNED_IN,
    UNCLAIMED,
    CurrentResources,
    CurrentSubject,
    Router,
    Subject,
    csrf_token_of,
    guard,
)

router = Router(prefix="/api/v1", tags=["identity"])


def client_of(request: Request) -> Client:
    """Return the client of a request, by its connection and headers."""
    return Client(request.state.peer, request.headers.get("user-agent", ""))


CurrentClient = Annotated[Client, Depends(client_of)]


def welcome(response: Response, resources: Resources, opened: OpenedSession) -> SignedInOut:
    """Set the session cookie, and return the CSRF token."""
    set_session_cookie(response, resources.settings, opened.token)
    return SignedInOut(
        user=UserOut.model_validate(opened.user), csrf_token=csrf_token_of(resources.secret_box, opened.session.id)
    )


@router.post("/claim", status_code=201, summary="Claim a fresh instance")
@guard(UNCLAIMED, rate="claim", audit="InstanceClaimed")
async def claim(form: ClaimIn, response: Response, resources: CurrentResources, client: CurrentClient) -> SignedInOut:
    """Become the first owner. Needs the one-time token that Orca prints on its console when it starts."""
    return welcome(response, resources, await claim_instance(resources, form, client))


@router.post("/session", status_code=201, summary="Sign in")
@guard(PUBLIC, rate="login", audit="SignedIn")
async def create_session(
    form: SignIn, request: Request, response: Response, resources: CurrentResources, client: CurrentClient
) -> SignedInOut:
    """Sign in; sets the session cookie."""
    before: Subject | None = request.state.subject
    opened = await sign_in(resources, form, client, replaces=before.session_id if before else None)
    return welcome(response, resources, opened)


@router.delete("/session", status_code=204, summary="Sign out")
@guard(SIGNED_IN, rate="write", audit="SignedOut")
async def delete_session(
    response: Response, session: WriteSession, subject: CurrentSubject, resources: CurrentResources
) -> None:
    """Sign out: end the session on the server and clear the cookie."""
    await sign_out(session, subject)
    clear_session_cookie(response, resources.settings)


@router.get("/me", summary="Who am I")
@guard(SIGNED_IN)
async def read_me(session: ReadSession, subject: CurrentSubject, resources: CurrentResources) -> MeOut:
    """Return the subject of the request, its team and its permissions."""
    user = await get_user(session, subject.user_id) if subject.user_id else None
    return MeOut(
        actor=subject.actor, via=subject.via, team_id=subject.team_id, role=subject.role,
        permissions=sorted(subject.permissions), parts=_parts_of(subject),
        user=UserOut.model_validate(user) if user else None, panel_url=resources.settings.panel_url,
        csrf_token=csrf_token_of(resources.secret_box, subject.session_id) if subject.session_id else None,
    )  # fmt: skip


def _parts_of(subject: Subject) -> list[PartOut]:
    return [
        PartOut(
            project_id=grant.scope.project_id, environment_id=grant.scope.environment_id,
            system_id=grant.scope.system_id,
            permissions=sorted(grant.permissions),
        )
        for grant in subject.grants
        if not grant.scope.is_whole_team
    ]  # fmt: skip


@router.patch("/me", summary="Change one's own name")
@guard(SIGNED_IN, rate="write", audit="UserUpdated")
async def update_me(form: AccountChanges, session: WriteSession, subject: CurrentSubject) -> UserOut:
    """Change your name, which others see beside the e-mail."""
    return UserOut.model_validate(await change_name(session, subject, form))


@router.post("/users/reset-password", summary="Replace a forgotten password")
@guard("instance.admin", rate="login", audit="PasswordReset")
async def recover_account(form: PasswordReset, subject: CurrentSubject, resources: CurrentResources) -> UserOut:
    """Reset a password, only over the machine's private socket. Signs the user out and revokes their API tokens."""
    return UserOut.model_validate(await reset_password(resources, subject, form))


@router.post("/me/password", summary="Change one's own password")
@guard(SIGNED_IN, rate="login", audit="PasswordChanged")
async def update_password(
    form: PasswordChange,
    response: Response,
    subject: CurrentSubject,
    resources: CurrentResources,
    client: CurrentClient,
) -> SignedInOut:
    """Change your password. Signs out every other browser and revokes your API tokens."""
    return welcome(response, resources, await change_password(resources, subject, form, client))


@router.post("/me/step-up", summary="Enter the password again")
@guard(SIGNED_IN, rate="login", audit="SteppedUp")
async def create_step_up(
    form: StepUp, response: Response, subject: CurrentSubject, resources: CurrentResources, client: CurrentClient
) -> SignedInOut:
    """Enter your password again; for ten minutes, secrets can then be shown."""
    return welcome(response, resources, await step_up(resources, subject, form.password, client))


@router.get("/me/sessions", summary="Where one is signed in")
@guard(SIGNED_IN)
async def list_sessions(session: ReadSession, subject: CurrentSubject, resources: CurrentResources) -> Page[SessionOut]:
    """List your valid browser sessions, newest first; at most 200."""
    user_id, session_id = of_browser(subject)
    rows = await list_browser_sessions(session, user_id, lifetime_of(resources.settings), now())
    items = [SessionOut.model_validate(row) for row in rows]
    return Page(items=[item.model_copy(update={"is_current": item.id == session_id}) for item in items])


@router.delete("/me/sessions", status_code=204, summary="Sign out everywhere else")
@guard(SIGNED_IN, rate="write", audit="SessionRevoked")
async def delete_other_sessions(session: WriteSession, subject: CurrentSubject) -> None:
    """End all of your sessions except this one."""
    await revoke_other_sessions(session, subject)


@router.delete("/me/sessions/{session_id}", status_code=204, summary="Sign out another browser")
@guard(SIGNED_IN, rate="write", audit="SessionRevoked")
async def delete_one_session(session_id: str, session: WriteSession, subject: CurrentSubject) -> None:
    """End one of your sessions."""
    await revoke_session(session, subject, session_id)
