"""REST doors of deployments, releases and what runs now."""

import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Body, Header, Path, Query, Response
from fastapi import Request as HttpRequest
from fastapi.responses import PlainTextResponse, StreamingResponse

from orca.db import ReadSession, WriteSession
from orca.features.deployments import queries
from orca.features.deployments.actions.cancel import cancel_deployment
from orca.features.deployments.actions.remedy import apply_remedy
from orca.features.deployments.actions.start import DeploymentRequest, start_deployment
from orca.features.deployments.estimates import read_usual
from orca.features.deployments.history import list_makers
from orca.features.deployments.log_lines import read_log_page
from orca.features.deployments.models import Deployment, Release
from orca.features.deployments.schemas import (
    BuildIn,
    DeployIn,
    DeploymentDetail,
    DeploymentFilter,
    DeploymentOut,
    LogLineOut,
    LogLineQuery,
    LogLinesOut,
    MakerOut,
    ReleaseFilter,
    ReleaseOut,
    RollbackIn,
    ScaleIn,
    StepOut,
    TeamDeploymentFilter,
)
from orca.features.services.queries import get_service
from orca.kit.clock import format_instant
from orca.kit.pagination import Page
from orca.kit.sse import STREAM_HEADERS, format_event, keep_open
from orca.web.guard import CurrentResources, CurrentScope, CurrentSubject, Router, guard, narrowed

router = Router(prefix="/api/v1", tags=["deployments"])
OptionalBuildIn = Annotated[BuildIn, Body(default_factory=BuildIn)]
OptionalDeployIn = Annotated[DeployIn, Body(default_factory=DeployIn)]
OptionalRollbackIn = Annotated[RollbackIn, Body(default_factory=RollbackIn)]
"""Every field has its default, so a request without a body asks for just that."""
Trigger = Annotated[str, Header(alias="X-Orca-Trigger", pattern="^(api|cli|page)$", description="Which door asked.")]


@router.post("/services/{service_id}/builds", status_code=202, response_model=DeploymentOut)
@guard("service.deploy", tenant="service_id", rate="write", audit="DeploymentQueued")
async def create_build(
    service_id: str, body: OptionalBuildIn, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Deployment:
    """Build an image without making it live. Deploy it later with its `build_id`."""
    service = await get_service(session, scope, service_id)
    request = DeploymentRequest(kind="build", commit=body.commit, upload_id=body.upload_id)
    return await start_deployment(session, resources, service, request)


@router.post("/services/{service_id}/deployments", status_code=202, response_model=DeploymentOut)
@guard("service.deploy", tenant="service_id", rate="write", audit="DeploymentQueued")
async def create_deployment(
    service_id: str,
    body: OptionalDeployIn,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    trigger: Trigger = "api",
) -> Deployment:
    """Build the source and make the result live."""
    service = await get_service(session, scope, service_id)
    request = DeploymentRequest(trigger=trigger, commit=body.commit, upload_id=body.upload_id, build_id=body.build_id)
    return await start_deployment(session, resources, service, request)


@router.get("/deployments", response_model=Page[DeploymentOut], summary="List deployments of all services")
@narrowed()
@guard("deployment.read")
async def list_team_deployments(
    session: ReadSession, scope: CurrentScope, wanted: Annotated[TeamDeploymentFilter, Query()]
) -> Page[Deployment]:
    """List the deployments of all services, newest first."""
    return await queries.list_team_deployments(session, scope, wanted)


@router.get("/services/{service_id}/deployments", response_model=Page[DeploymentOut])
@guard("deployment.read", tenant="service_id")
async def list_deployments(
    service_id: str, session: ReadSession, scope: CurrentScope, wanted: Annotated[DeploymentFilter, Query()]
) -> Page[Deployment]:
    """List the deployments of a service, newest first."""
    await get_service(session, scope, service_id)
    return await queries.list_deployments(session, scope, service_id, wanted)


@router.get("/services/{service_id}/releases", response_model=Page[ReleaseOut])
@guard("deployment.read", tenant="service_id")
async def list_releases(
    service_id: str, session: ReadSession, scope: CurrentScope, wanted: Annotated[ReleaseFilter, Query()]
) -> Page[ReleaseOut]:
    """List releases, newest first, with when each first went live (`went_live_at`) and the deployment that made it."""
    await get_service(session, scope, service_id)
    live = await queries.find_live(session, service_id)
    page = await queries.list_releases(session, scope, service_id, wanted)
    makers = await list_makers(session, page.items)
    items = [_release_out(row, makers.get(row.id), live.release_id if live else None) for row in page.items]
    return Page[ReleaseOut](items=items, next_cursor=page.next_cursor)


@router.post("/services/{service_id}/rollback", status_code=202, response_model=DeploymentOut)
@guard("service.deploy", tenant="service_id", rate="write", audit="DeploymentQueued")
async def rollback(
    service_id: str,
    body: OptionalRollbackIn,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    trigger: Trigger = "api",
) -> Deployment:
    """Make an earlier release live again; nothing is built."""
    service = await get_service(session, scope, service_id)
    request = DeploymentRequest(kind="rollback", trigger=trigger, release=body.release)
    return await start_deployment(session, resources, service, request)


@router.post("/services/{service_id}/scale", status_code=202, response_model=DeploymentOut)
@guard("service.operate", tenant="service_id", rate="write", audit="DeploymentQueued")
async def scale(
    service_id: str,
    body: ScaleIn,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    trigger: Trigger = "api",
) -> Deployment:
    """Run another number of replicas. Those that run and stay are not restarted."""
    service = await get_service(session, scope, service_id)
    request = DeploymentRequest(kind="scale", trigger=trigger, replicas=body.replicas)
    return await start_deployment(session, resources, service, request)


@router.post("/services/{service_id}/restart", status_code=202, response_model=DeploymentOut)
@guard("service.operate", tenant="service_id", rate="write", audit="DeploymentQueued")
async def restart(
    service_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources, trigger: Trigger = "api"
) -> Deployment:
    """Replace the containers of the live release by new ones; a service whose strategy recreates is down meanwhile."""
    service = await get_service(session, scope, service_id)
    return await start_deployment(session, resources, service, DeploymentRequest(kind="restart", trigger=trigger))


@router.post("/services/{service_id}/start", status_code=202, response_model=DeploymentOut)
@guard("service.operate", tenant="service_id", rate="write", audit="DeploymentQueued")
async def start(
    service_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources, trigger: Trigger = "api"
) -> Deployment:
    """Start a stopped service with the release it had."""
    service = await get_service(session, scope, service_id)
    return await start_deployment(session, resources, service, DeploymentRequest(kind="start", trigger=trigger))


@router.post("/services/{service_id}/stop", status_code=202, response_model=DeploymentOut)
@guard("service.operate", tenant="service_id", rate="write", audit="DeploymentQueued")
async def stop(
    service_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources, trigger: Trigger = "api"
) -> Deployment:
    """Stop the service; its hostnames answer with a page that says so."""
    service = await get_service(session, scope, service_id)
    return await start_deployment(session, resources, service, DeploymentRequest(kind="stop", trigger=trigger))


@router.get("/deployments/{deployment_id}", response_model=DeploymentDetail)
@guard("deployment.read", tenant="deployment_id")
async def get_deployment(deployment_id: str, session: ReadSession, scope: CurrentScope) -> DeploymentDetail:
    """One deployment with its steps."""
    row = await queries.get_deployment(session, scope, deployment_id)
    steps = await queries.list_steps(session, deployment_id)
    build = await queries.find_build(session, row.build_id)
    usual = await read_usual(session, row)
    return DeploymentDetail(
        **DeploymentOut.model_validate(row).model_dump(), steps=[StepOut.model_validate(step) for step in steps],
        expected_seconds=usual and round(usual.total(steps), 1),
        waits_for=await queries.explain_wait(session, row), commit=build.commit if build else "",
        commit_message=build.commit_message if build else "", dockerfile=build.dockerfile if build else "",
        image=build.image if build else "",
    )  # fmt: skip


@router.post("/deployments/{deployment_id}/cancel", status_code=202, response_model=DeploymentOut)
@guard("deployment.cancel", tenant="deployment_id", rate="write", audit="DeploymentCancelled")
async def cancel(
    deployment_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Deployment:
    """Stop the deployment: a queued one ends at once, a running one within 15 seconds."""
    row = await queries.get_deployment(session, scope, deployment_id)
    await cancel_deployment(session, resources, row)
    return row


@router.post("/deployments/{deployment_id}/remedies/{number}", status_code=202, response_model=DeploymentOut)
@guard("service.deploy", tenant="deployment_id", rate="write", audit="DeploymentQueued")
async def mend(
    deployment_id: str,
    number: Annotated[int, Path(ge=0, le=99, description="Place in `remedies`, counted from 0.")],
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    subject: CurrentSubject,
) -> Deployment:
    """Apply a remedy and deploy again. Also needs the permission to change the setting that the remedy changes."""
    row = await queries.get_deployment(session, scope, deployment_id)
    return await apply_remedy(session, resources, subject, row, number, trigger="api")


@router.get(
    "/deployments/{deployment_id}/log",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {}, "text/event-stream": {}}}},
)
@guard("deployment.read", tenant="deployment_id", rate="stream")
async def read_log(
    deployment_id: str,
    request: HttpRequest,
    scope: CurrentScope,
    resources: CurrentResources,
    after: Annotated[int, Query(ge=0, lt=10**18, description="Offset in characters to begin at.")] = 0,
    follow: Annotated[bool, Query(description="Wait for more, until the deployment ends.")] = False,
) -> Response:
    """Plain text, or with `Accept: text/event-stream` events `log` {offset, step, text, at} and at last `end` {state}.

    When `Last-Event-ID` is beyond the end of the log, the first event is `reset` {offset}, and the stream continues
    from there.
    """
    if "text/event-stream" in request.headers.get("accept", ""):
        last = request.headers.get("last-event-id", "")
        start = int(last) if re.fullmatch("[0-9]{1,18}", last) else after
        return StreamingResponse(
            keep_open(_log_events(resources, scope, deployment_id, start)), media_type="text/event-stream",
            headers=STREAM_HEADERS,
        )  # fmt: skip
    return StreamingResponse(_log_text(resources, scope, deployment_id, after, follow=follow), media_type="text/plain")


@router.get("/deployments/{deployment_id}/log/lines", response_model=LogLinesOut)
@guard("deployment.read", tenant="deployment_id")
async def list_log_lines(
    deployment_id: str, session: ReadSession, scope: CurrentScope, query: Annotated[LogLineQuery, Query()]
) -> LogLinesOut:
    """Return lines of the log: its end, or what is before, after or around a line."""
    await queries.get_deployment(session, scope, deployment_id)
    page = await read_log_page(session, deployment_id, query)
    items = [LogLineOut.model_validate(line) for line in page.lines]
    return LogLinesOut(
        items=items, older=items[0].id if items and page.has_older else None,
        newer=items[-1].id if items else query.after, total=page.total,
    )  # fmt: skip


async def _log_events(
    resources: CurrentResources, scope: CurrentScope, deployment_id: str, after: int
) -> AsyncIterator[str]:
    end = await queries.find_log_end(resources.db, scope, deployment_id)
    if after > end:
        after = end
        yield format_event("reset", {"offset": end}, event_id=str(end))
    async for chunk in queries.follow_log(resources.db, scope, deployment_id, after=after):
        if isinstance(chunk, str):
            yield format_event("end", {"state": chunk})
            return
        end = chunk.offset + len(chunk.text)
        at = format_instant(chunk.at.replace(microsecond=0))
        data = {"offset": chunk.offset, "step": chunk.step, "text": chunk.text, "at": at}
        yield format_event("log", data, event_id=str(end))


async def _log_text(
    resources: CurrentResources, scope: CurrentScope, deployment_id: str, after: int, *, follow: bool
) -> AsyncIterator[str]:
    if follow:
        async for chunk in queries.follow_log(resources.db, scope, deployment_id, after=after):
            if not isinstance(chunk, str):
                yield chunk.text
        return
    async for text in queries.stream_kept_log(resources.db, scope, deployment_id, after=after):
        yield text


def _release_out(row: Release, maker: Deployment | None, live_id: str | None) -> ReleaseOut:
    made_by = MakerOut.model_validate(maker) if maker is not None else None
    return ReleaseOut.model_validate(row).model_copy(update={"is_live": row.id == live_id, "deployment": made_by})
