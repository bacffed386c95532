"""The page of a service's push hooks, their addresses, and their last deliveries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import OrcaError
from orca.features.projects.models import Project
from orca.features.services.models import Service
from orca.features.services.queries import get_service
from orca.features.services.service_status import ServiceStatus, load_header
from orca.features.triggers import actions, queries
from orca.features.triggers.models import Hook, Push
from orca.features.triggers.operations.send_test_delivery import test_hook
from orca.features.triggers.pushes import PROVIDER_NAMES
from orca.features.triggers.rules import hook_url, warn_of_reach
from orca.features.triggers.schemas import HookChanges, HookFields, HookTest
from orca.kit.pagination import PageRequest
from orca.resources import Resources
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.redirects import see_other
from orca.web.render import render

router = Router(include_in_schema=False)
SHOWN = 50


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret that is shown in this response, and never again."""

    hook: Hook
    secret: str


@dataclass(frozen=True, slots=True)
class HooksPage:
    """Hooks without their secrets, except that of a hook that was just created."""

    service: Service
    project: Project
    status: ServiceStatus
    hooks: Sequence[Hook]
    pushes: Sequence[Push]
    urls: Mapping[str, str]
    """Id of a hook -> the address for its pushes."""
    warning: str
    """Why Git hosts may not reach these addresses; empty if there is no known reason."""
    branch: str
    """The branch that the form proposes."""
    form: Filled[HookFields] = field(default_factory=Filled)
    made: NewSecret | None = None
    tested: HookTest | None = None
    last: Mapping[str, Push] = field(default_factory=dict)
    """Id of a hook -> its last delivery."""
    providers: Mapping[str, str] = field(default_factory=lambda: PROVIDER_NAMES)
    tab: str = "hooks"


@dataclass(frozen=True, slots=True)
class HookPage:
    """The page that edits one hook."""

    service: Service
    project: Project
    status: ServiceStatus
    hook: Hook
    form: Filled[HookFields]
    providers: Mapping[str, str] = field(default_factory=lambda: PROVIDER_NAMES)
    tab: str = "hooks"


async def _draw(
    request: Request,
    session: AsyncSession,
    scope: CurrentScope,
    service_id: str,
    **shown: Any,
) -> Response:
    head = await load_header(request, session, scope, service_id)
    hooks = (await queries.list_hooks(session, scope, service_id, PageRequest(limit=SHOWN))).items
    pushes = await queries.list_recent_pushes(session, scope, [hook.id for hook in hooks], limit=SHOWN)
    last = await queries.list_last_pushes(session, scope, [hook.id for hook in hooks])
    panel = request.app.state.settings.panel_url
    urls = {hook.id: hook_url(panel, hook.id) for hook in hooks}
    branch = str(head.service.source.get("branch") or "main")
    page = HooksPage(*head, hooks, pushes, urls, warn_of_reach(panel), branch, last=last, **shown)
    return render(request, "triggers/hooks.html", page, status=page.form.status)


@router.get("/services/{service_id}/hooks")
@guard("hook.read", tenant="service_id", page=True)
async def show_hooks(service_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Show the hooks, how to set them up at each Git host, and the last pushes with their decisions."""
    return await _draw(request, session, scope, service_id)


def _typed(form: Mapping[str, str]) -> dict[str, object]:
    """Return the form of a hook as the API's JSON."""
    patterns = [line.strip() for line in form.get("watch_paths", "").splitlines() if line.strip()]
    return {
        "provider": form.get("provider", ""), "branch": form.get("branch", ""), "watch_paths": patterns,
        "any_repository": form.get("any_repository") == "true",
    }  # fmt: skip


def _by_field(filled: Filled[HookFields]) -> Filled[HookFields]:
    """Move the errors of single patterns to the form field that holds all of them."""
    return Filled(filled.values, {place.partition(".")[0]: text for place, text in filled.errors.items()})


@router.post("/services/{service_id}/hooks")
@guard("hook.create", tenant="service_id", rate="write", audit="HookCreated", page=True)
async def make_hook(
    service_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Create a hook; only this response shows the secret."""
    service = await get_service(session, scope, service_id)
    filled = fill(HookFields, _typed(form), form)
    if filled.model is not None:
        try:
            made = await actions.create_hook(session, resources.secret_box, scope, service.id, filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return await _draw(request, session, scope, service_id, made=NewSecret(*made))
    await session.rollback()
    return await _draw(request, session, scope, service_id, form=_by_field(filled))


@router.get("/services/{service_id}/hooks/{hook_id}")
@guard("hook.update", tenant="service_id", page=True)
async def show_hook(
    service_id: str, hook_id: str, request: Request, session: ReadSession, scope: CurrentScope
) -> Response:
    """Show the form that changes a hook."""
    hook = await queries.get_hook(session, scope, service_id, hook_id)
    values = {
        "provider": hook.provider, "branch": hook.branch, "watch_paths": "\n".join(hook.watch_paths),
        "any_repository": "true" if hook.any_repository else "",
    }  # fmt: skip
    page = HookPage(*await load_header(request, session, scope, service_id), hook, Filled(values))
    return render(request, "triggers/hook.html", page)


@router.post("/services/{service_id}/hooks/{hook_id}")
@guard("hook.update", tenant="service_id", rate="write", audit="HookUpdated", page=True)
async def edit_hook(
    service_id: str, hook_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Change provider and deploy rules. Address and secret stay."""
    filled = fill(HookFields, _typed(form), form)
    if filled.model is not None:
        changes = HookChanges.model_validate(filled.model.model_dump())
        await actions.update_hook(session, scope, service_id, hook_id, changes)
        return see_other(request, f"/services/{service_id}/hooks", said="Push hook changed")
    await session.rollback()
    hook = await queries.get_hook(session, scope, service_id, hook_id)
    page = HookPage(*await load_header(request, session, scope, service_id), hook, _by_field(filled))
    return render(request, "triggers/hook.html", page, status=422)


@router.post("/services/{service_id}/hooks/{hook_id}/test")
@guard("hook.update", tenant="service_id", rate="write", audit="HookTested", page=True)
async def try_hook(
    service_id: str, hook_id: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Send a test delivery to the hook's own address, and show the result."""
    tested = await test_hook(request.app.state.resources, scope, service_id, hook_id)
    return await _draw(request, session, scope, service_id, tested=tested)


@router.post("/services/{service_id}/hooks/{hook_id}/replay")
@guard("service.deploy", tenant="service_id", rate="write", audit="PushReplayed", page=True)
async def replay_push(
    service_id: str, hook_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Decide about an earlier push again, by the present settings of hook and service."""
    resources: Resources = request.app.state.resources
    push = await actions.replay_push(session, resources, scope, service_id, hook_id, form.get("push_id") or None)
    said = f"Replayed: {push.decision}"
    return see_other(request, f"/services/{service_id}/hooks", said=said)


@router.post("/services/{service_id}/hooks/{hook_id}/rotate")
@guard("hook.update", tenant="service_id", rate="write", audit="HookRotated", page=True)
async def rotate_hook(
    service_id: str,
    hook_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> Response:
    """Replace the secret; the response shows the new one, and the old one stops working at once."""
    made = await actions.rotate_hook(session, resources.secret_box, scope, service_id, hook_id)
    return await _draw(request, session, scope, service_id, made=NewSecret(*made))


@router.post("/services/{service_id}/hooks/{hook_id}/delete")
@guard("hook.delete", tenant="service_id", rate="write", audit="HookDeleted", page=True)
async def remove_hook(
    service_id: str, hook_id: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Delete a hook. Pushes that still arrive at it are refused."""
    await actions.delete_hook(session, scope, service_id, hook_id)
    return see_other(request, f"/services/{service_id}/hooks", said="Push hook deleted")
