"""Pages of a service's first tab, and of deployments."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Path, Query, Response
from fastapi import Request as HttpRequest
from fastapi.responses import RedirectResponse, StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput, Conflict, NotFound
from orca.features.deployments import queries, rules
from orca.features.deployments.actions.cancel import cancel_deployment
from orca.features.deployments.actions.discard import discard_changes
from orca.features.deployments.actions.remedy import apply_remedy
from orca.features.deployments.actions.start import DeploymentRequest, start_deployment
from orca.features.deployments.history import DeploymentLine, ReleaseLine, compare_releases, list_release_lines
from orca.features.deployments.listing import list_deployment_rows
from orca.features.deployments.log_lines import read_log_page
from orca.features.deployments.models import Release
from orca.features.deployments.observer import survey_recently, watching
from orca.features.deployments.schemas import LogLineQuery, ScaleIn
from orca.features.deployments.service_status import read_rollback, read_waiting
from orca.features.deployments.views import LOG_LINES, ServiceView, view_deployment, view_service
from orca.features.projects.models import Project
from orca.features.services.comparison import ConfigChange
from orca.features.services.models import Service
from orca.features.services.queries import get_service
from orca.features.services.service_status import ServiceStatus, load_header
from orca.kit.pagination import PageRequest
from orca.kit.text import clean_output
from orca.web.forms import Form, fill
from orca.web.guard import CurrentResources, CurrentScope, CurrentSubject, Router, guard
from orca.web.lists import AskedOf, Listing, ListQuery
from orca.web.live import Sources, stream_fragment
from orca.web.redirects import see_other
from orca.web.render import draw, render, render_list

router = Router(include_in_schema=False)
SEE_OTHER = 303
_WORKER_SECONDS = 5.0
"""How long a step that runs in another process stays as it is on the page of its deployment: no notice comes of it."""


@router.get("/services/{service_id}")
@guard("service.read", tenant="service_id", page=True)
async def show_service(service_id: str, request: HttpRequest, session: ReadSession, scope: CurrentScope) -> Response:
    """Show what runs, at which addresses, and the last deployment."""
    return render(request, "deployments/service.html", await view_service(request, session, scope, service_id))


@router.get("/services/{service_id}/live")
@guard("service.read", tenant="service_id", rate="stream", page=True)
async def follow_service(
    service_id: str, request: HttpRequest, scope: CurrentScope, resources: CurrentResources
) -> StreamingResponse:
    """Stream the page of a service, rendered again at each change."""

    async def draw_now() -> tuple[str, bool]:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            view: ServiceView = await view_service(request, session, scope, service_id)
        return draw(request, "deployments/_service.html", view), False

    return stream_fragment(request, draw_now, watching(resources))


@dataclass(frozen=True, slots=True)
class HeadPage:
    """The head of a service's pages, which the stream of those sends that have no other."""

    service: Service
    project: Project
    status: ServiceStatus
    tab: str


@router.get("/services/{service_id}/head/live")
@guard("service.read", tenant="service_id", rate="stream", page=True)
async def follow_head(
    service_id: str, request: HttpRequest, scope: CurrentScope, resources: CurrentResources, tab: str = "overview"
) -> StreamingResponse:
    """Stream the head of a service for one of its tabs."""
    if tab not in {entry.key for entry in request.app.state.menus.tabs if entry.of == "service"}:
        raise NotFound("there is no such tab")

    async def draw_now() -> tuple[str, bool]:
        await survey_recently(resources)
        async with resources.db.read(scope.team_id, scope.reach) as session:
            head = await load_header(request, session, scope, service_id)
        return draw(request, "services/_service_head.html", HeadPage(*head, tab)), False

    return stream_fragment(request, draw_now, watching(resources))


@dataclass(frozen=True, slots=True)
class DeploymentsPage:
    """All deployments and releases of a service."""

    service: Service
    project: Project
    status: ServiceStatus
    listing: Listing[DeploymentLine]
    releases: list[ReleaseLine]
    tab: str = "deployments"


async def _read_deployments(
    request: HttpRequest, session: AsyncSession, scope: CurrentScope, service_id: str, asked: ListQuery
) -> DeploymentsPage:
    head = await load_header(request, session, scope, service_id)
    releases = await queries.list_releases(session, scope, service_id, PageRequest(limit=10))
    is_stopped = head.service.desired_state == "stopped"
    return DeploymentsPage(
        *head,
        await list_deployment_rows(session, scope, service_id, asked),
        await list_release_lines(session, releases.items, head.status.release_id, is_stopped=is_stopped),
    )


@router.get("/services/{service_id}/deployments")
@guard("deployment.read", tenant="service_id", page=True)
async def list_deployments(
    service_id: str, request: HttpRequest, session: ReadSession, scope: CurrentScope, asked: AskedOf
) -> Response:
    """Show the history, and the releases to roll back to."""
    page = await _read_deployments(request, session, scope, service_id, asked)
    return render_list(request, "deployments/list.html", page, page.listing)


@router.get("/services/{service_id}/deployments/live")
@guard("deployment.read", tenant="service_id", rate="stream", page=True)
async def follow_deployments(
    service_id: str, request: HttpRequest, scope: CurrentScope, resources: CurrentResources, asked: AskedOf
) -> StreamingResponse:
    """Stream the history."""

    async def draw_now() -> tuple[str, bool]:
        await survey_recently(resources)
        async with resources.db.read(scope.team_id, scope.reach) as session:
            page = await _read_deployments(request, session, scope, service_id, asked)
        return draw(request, "deployments/_live_list.html", page), False

    return stream_fragment(request, draw_now, watching(resources))


@router.post("/services/{service_id}/deploy")
@guard("service.deploy", tenant="service_id", rate="write", audit="DeploymentQueued", page=True)
async def deploy(
    service_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> RedirectResponse:
    """Deploy the source as it is now."""
    return await _ask(session, scope, resources, service_id, DeploymentRequest(trigger="page"))


@router.post("/services/{service_id}/changes/discard")
@guard("service.update", tenant="service_id", rate="write", audit="ServiceChangesDiscarded", page=True)
async def discard(
    service_id: str,
    request: HttpRequest,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Return settings and variables to those of the live release."""
    await discard_changes(session, resources, scope, service_id, form.get("revision", ""))
    left = await read_waiting(session, await get_service(session, scope, service_id))
    hint = "Volumes, privileges and variables of the project stay as they are." if left.changes else ""
    return see_other(request, f"/services/{service_id}", said="The changes are discarded", hint=hint)


@router.post("/services/{service_id}/operate/{verb}")
@guard("service.operate", tenant="service_id", rate="write", audit="DeploymentQueued", page=True)
async def operate(
    service_id: str, verb: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> RedirectResponse:
    """Restart, start or stop."""
    kinds: dict[str, rules.Kind] = {"restart": "restart", "start": "start", "stop": "stop"}
    if verb not in kinds:
        raise NotFound("there is no such operation")
    return await _ask(session, scope, resources, service_id, DeploymentRequest(kind=kinds[verb], trigger="page"))


@router.post("/services/{service_id}/scale")
@guard("service.operate", tenant="service_id", rate="write", audit="DeploymentQueued", page=True)
async def scale(
    service_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> RedirectResponse:
    """Run another number of replicas of what is live, now."""
    filled = fill(ScaleIn, {"replicas": form.get("replicas", "")}, form)
    if filled.model is None:
        raise BadInput(f"the number of replicas {filled.errors['replicas']}", hint="Go back and choose another one.")
    request = DeploymentRequest(kind="scale", trigger="page", replicas=filled.model.replicas)
    return await _ask(session, scope, resources, service_id, request)


@dataclass(frozen=True, slots=True)
class RollbackPage:
    """From which release to which a rollback goes, and what that changes."""

    service: Service
    project: Project
    status: ServiceStatus
    target: Release
    releases: Sequence[ConfigChange]
    """The two releases, with commit and image."""
    changes: Sequence[ConfigChange]
    tab: str = "deployments"


@router.get("/services/{service_id}/rollback/{number}")
@guard("service.deploy", tenant="service_id", page=True)
async def show_rollback(
    service_id: str, number: int, request: HttpRequest, session: ReadSession, scope: CurrentScope
) -> Response:
    """Show what going back to a release changes, and ask."""
    head = await load_header(request, session, scope, service_id)
    target = await queries.find_rollback_release(session, service_id, number)
    if target is None:
        raise NotFound("there is no such release")
    found = await read_rollback(session, head.service, target)
    page = RollbackPage(*head, target, compare_releases(found.live, target), found.changes)
    return render(request, "deployments/rollback.html", page)


@router.post("/services/{service_id}/rollback/{number}")
@guard("service.deploy", tenant="service_id", rate="write", audit="DeploymentQueued", page=True)
async def roll_back(
    service_id: str, number: int, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> RedirectResponse:
    """Make an earlier release live again. `live` names the release that the user saw as the live one."""
    live = await queries.find_live(session, (await get_service(session, scope, service_id)).id)
    if form.get("live") and form["live"] != (live.release_id if live else ""):
        raise Conflict(
            "another release went live meanwhile, so nothing was rolled back",
            hint="Look at what a rollback would change now, and decide again.",
        )
    request = DeploymentRequest(kind="rollback", trigger="page", release=number)
    return await _ask(session, scope, resources, service_id, request)


async def _ask(
    session: WriteSession, scope: CurrentScope, resources: CurrentResources, service_id: str, request: DeploymentRequest
) -> RedirectResponse:
    service = await get_service(session, scope, service_id)
    deployment = await start_deployment(session, resources, service, request)
    return RedirectResponse(f"/deployments/{deployment.id}", SEE_OTHER)


@router.get("/deployments/{deployment_id}")
@guard("deployment.read", tenant="deployment_id", page=True)
async def show_deployment(
    deployment_id: str, request: HttpRequest, session: ReadSession, scope: CurrentScope, resources: CurrentResources,
    line: Annotated[int | None, Query(ge=0, lt=10**18)] = None,
) -> Response:  # fmt: skip
    """Show the log from its end or around a line, the steps, and what to do about a failure."""
    view = await view_deployment(session, resources, scope, deployment_id)
    view = replace(view, log=await read_log_page(session, deployment_id, LogLineQuery(around=line, limit=LOG_LINES)))
    return render(request, "deployments/detail.html", view)


@router.get("/deployments/{deployment_id}/live")
@guard("deployment.read", tenant="deployment_id", rate="stream", page=True)
async def follow_deployment(
    deployment_id: str, request: HttpRequest, scope: CurrentScope, resources: CurrentResources
) -> StreamingResponse:
    """Stream state and steps, rendered again at each change."""

    async def draw_now() -> tuple[str, bool]:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            view = await view_deployment(session, resources, scope, deployment_id)
        return draw(request, "deployments/_live.html", view), not view.is_active

    return stream_fragment(request, draw_now, Sources(topic=deployment_id, look_again=_WORKER_SECONDS))


@router.get("/deployments/{deployment_id}/log.txt")
@guard("deployment.read", tenant="deployment_id", page=True)
async def download_log(deployment_id: str, scope: CurrentScope, resources: CurrentResources) -> StreamingResponse:
    """Return the stored part of the log as a file, without colours."""
    kept = queries.stream_kept_log(resources.db, scope, deployment_id)
    headers = {"Content-Disposition": f'attachment; filename="deployment-{deployment_id}.log"'}
    return StreamingResponse(_without_colours(kept), media_type="text/plain", headers=headers)


async def _without_colours(texts: AsyncIterator[str]) -> AsyncIterator[str]:
    async for text in texts:
        yield clean_output(text, colours=False)


@router.post("/deployments/{deployment_id}/cancel")
@guard("deployment.cancel", tenant="deployment_id", rate="write", audit="DeploymentCancelled", page=True)
async def cancel(
    deployment_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> RedirectResponse:
    """Cancel the deployment."""
    row = await queries.get_deployment(session, scope, deployment_id)
    await cancel_deployment(session, resources, row)
    return RedirectResponse(f"/deployments/{deployment_id}", SEE_OTHER)


@router.post("/deployments/{deployment_id}/remedies/{number}")
@guard("service.deploy", tenant="deployment_id", rate="write", audit="DeploymentQueued", page=True)
async def mend(
    deployment_id: str,
    number: Annotated[int, Path(ge=0, le=99)],
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    subject: CurrentSubject,
) -> RedirectResponse:
    """Apply a remedy, and deploy again."""
    row = await queries.get_deployment(session, scope, deployment_id)
    deployment = await apply_remedy(session, resources, subject, row, number, trigger="page")
    return RedirectResponse(f"/deployments/{deployment.id}", SEE_OTHER)


@router.post("/deployments/{deployment_id}/retry")
@guard("service.deploy", tenant="deployment_id", rate="write", audit="DeploymentQueued", page=True)
async def retry(
    deployment_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> RedirectResponse:
    """Request the same deployment once more."""
    row = await queries.get_deployment(session, scope, deployment_id)
    request = DeploymentRequest(kind="deploy", trigger="page", source=row.source)
    return await _ask(session, scope, resources, row.service_id, request)
