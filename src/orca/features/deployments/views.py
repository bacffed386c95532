"""View models of the service and deployment pages, from rows and the state of the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments import queries, rules
from orca.features.deployments.history import find_last_good
from orca.features.deployments.models import Build, Deployment, LiveRelease, Release
from orca.features.deployments.states import observe_services
from orca.features.projects.models import Project
from orca.features.projects.queries import get_project
from orca.features.routing.queries import Address, list_addresses, list_urls
from orca.features.services.models import Service
from orca.features.services.queries import get_service
from orca.features.services.service_status import ServiceStatus, load_header
from orca.kit.pagination import PageRequest
from orca.resources import Resources
from orca.sdk.workloads import Replica
from orca.web.guard import Scope

STEP_LABELS = {
    "fetch_source": "Fetch source",
    "build_image": "Build image",
    "stop_previous": "Stop previous",
    "run_release_command": "Run release command",
    "start_release": "Start release",
    "check_health": "Check health",
    "route_traffic": "Route traffic",
    "retire_previous": "Retire previous",
    "undo": "Undo",
}
_STEP_STATES = {"waiting": "queued", "running": "working", "succeeded": "done"}
LOG_LINES = 2000


@dataclass(frozen=True, slots=True)
class LogLineView:
    """A log line and the step that wrote it."""

    step: str
    text: str


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The last lines of a log, the offset of the chunk they end with, and how many lines before them were read."""

    lines: tuple[LogLineView, ...] = ()
    offset: int = -1
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class StepView:
    """One step, as the list of steps shows it."""

    label: str
    state: str
    seconds: float | None
    started_at: datetime | None
    note: str


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """The page of a deployment."""

    deployment: Deployment
    service: Service
    project: Project
    state: str
    steps: tuple[StepView, ...]
    build: Build | None
    release: Release | None
    urls: tuple[str, ...]
    is_active: bool
    has_moved: bool
    """Whether traffic has moved; then only the removal of the old containers is left."""
    is_live: bool
    back_to: Release | None
    """The release that this page offers to roll back to."""
    seconds: float | None
    waits_for: str = ""
    """Why it does not begin, or does not continue, at present."""
    log: LogEnd = LogEnd()
    log_days: int = 0
    """For how many days logs are kept."""
    labels: Mapping[str, str] = field(default_factory=lambda: STEP_LABELS)


@dataclass(frozen=True, slots=True)
class ServiceView:
    """The first page of a service."""

    service: Service
    project: Project
    status: ServiceStatus
    state: str
    addresses: tuple[Address, ...]
    release: Release | None
    since: datetime | None
    """When the release went live; of a stopped service, when it was stopped."""
    running: int | None
    """Running replicas of the live release; None when the engine could not be asked."""
    wanted: int | None
    containers: tuple[Replica, ...]
    observation_problem: str
    deployments: tuple[Deployment, ...]
    tab: str = "overview"


async def view_deployment(
    session: AsyncSession, resources: Resources, scope: Scope, deployment_id: str
) -> DeploymentView:
    """Return everything about one deployment except its log."""
    row = await queries.get_deployment(session, scope, deployment_id)
    service = await get_service(session, scope, row.service_id)
    steps = await queries.list_steps(session, deployment_id)
    live = await queries.find_live(session, service.id)
    has_moved = row.state == "running" and any(
        step.name == "route_traffic" and step.state == "succeeded" for step in steps
    )
    release = await queries.find_release(session, row.release_id)
    return DeploymentView(
        deployment=row,
        service=service,
        project=await get_project(session, scope, service.project_id),
        state=_word_of(row, has_moved=has_moved),
        steps=tuple(
            _step_view(step.name, step.state, step.started_at, step.finished_at, step.detail) for step in steps
        ),
        build=await queries.find_build(session, row.build_id),
        release=release,
        urls=tuple(await list_urls(session, resources.settings, service.id)),
        is_active=row.state in rules.ACTIVE,
        has_moved=has_moved,
        is_live=live is not None and live.release_id == row.release_id,
        back_to=await _find_way_back(session, row, release, live),
        seconds=_seconds(row.started_at, row.finished_at),
        waits_for=await queries.explain_wait(session, row),
        log_days=resources.settings.keep.log_days,
    )


def _word_of(row: Deployment, *, has_moved: bool) -> str:
    if row.state != "running":
        return row.state
    if row.kind in rules.TAKES_DOWN:
        return "stopping"
    return "retiring" if has_moved else "deploying"


async def _find_way_back(
    session: AsyncSession, row: Deployment, release: Release | None, live: LiveRelease | None
) -> Release | None:
    """Return the release to roll back to; None when there is none to offer.

    For a successful deployment, its own release, if it was live once and is not now. For a failed one, the last
    healthy release, if none is live.
    """
    if row.state in rules.ACTIVE:
        return None
    if row.state != "succeeded":
        return None if live is not None else await find_last_good(session, row.service_id)
    if release is None or release.went_live_at is None or (live is not None and live.release_id == release.id):
        return None
    return release


def _step_view(
    name: str, state: str, started_at: datetime | None, finished_at: datetime | None, detail: str
) -> StepView:
    shown = _STEP_STATES.get(state, state)
    note = detail if shown != "failed" else ""
    return StepView(STEP_LABELS.get(name, name), shown, _seconds(started_at, finished_at), started_at, note)


def _seconds(started_at: datetime | None, finished_at: datetime | None) -> float | None:
    return (finished_at - started_at).total_seconds() if started_at and finished_at else None


async def read_log_end(session: AsyncSession, deployment_id: str) -> LogEnd:
    """Return the end of a deployment's log, as the page shows it."""
    chunks = await queries.read_log_end(session, deployment_id, lines=LOG_LINES)
    lines = [
        LogLineView(STEP_LABELS.get(chunk.step, chunk.step), line)
        for chunk in chunks
        for line in chunk.text.splitlines()
    ]
    dropped = max(0, len(lines) - LOG_LINES)
    return LogEnd(tuple(lines[dropped:]), chunks[-1].offset if chunks else -1, dropped)


async def view_service(request: Request, session: AsyncSession, scope: Scope, service_id: str) -> ServiceView:
    """Return a service with its running replicas. The engine is asked last, when the session is not needed any more."""
    resources: Resources = request.app.state.resources
    head = await load_header(request, session, scope, service_id)
    service = head.service
    live = await queries.find_live(session, service_id)
    release = await queries.find_release(session, live.release_id if live else None)
    page = await queries.list_deployments(session, scope, service_id, PageRequest(limit=10))
    addresses = tuple(await list_addresses(session, resources.settings, service_id))
    stopped_at = await _find_last_stop(session, service_id) if service.desired_state == "stopped" else None
    seen = (await observe_services(session, scope, resources, {service_id: service.desired_state}))[service_id]
    head = head._replace(status=replace(head.status, state=seen.state))
    return ServiceView(
        *head, state=seen.state, addresses=addresses, release=release,
        since=stopped_at if seen.state == "stopped" else live.since if live else None,
        running=seen.observed.running if seen.observed else None,
        wanted=seen.workload.replicas if seen.workload else None,
        containers=seen.replicas, observation_problem=seen.problem, deployments=tuple(page.items),
    )  # fmt: skip


async def _find_last_stop(session: AsyncSession, service_id: str) -> datetime | None:
    stops = select(Deployment.finished_at).where(
        Deployment.service_id == service_id, Deployment.kind == "stop", Deployment.state == "succeeded"
    )
    return await session.scalar(stops.order_by(Deployment.number.desc()).limit(1))
