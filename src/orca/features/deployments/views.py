"""View models of the service and deployment pages, from rows and the state of the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.features.deployments import queries, rules
from orca.features.deployments.estimates import Usual, read_usual
from orca.features.deployments.history import find_last_good
from orca.features.deployments.log_lines import NO_LINES, DeploymentLogLine, LogPage, find_step_lines, read_last_lines
from orca.features.deployments.models import Build, Deployment, DeploymentStep, LiveRelease, Release
from orca.features.deployments.next_steps import address_of
from orca.features.deployments.schemas import NextStep
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
NEEDS = {"set-variable": "variable.write", "send-source": "service.deploy", "see-credentials": "credential.read",
         "free-disk": "instance.admin"}  # fmt: skip
"""The permission for the page of a step; the others need `service.update`."""
LOG_LINES = 300
"""How many lines the page has at first; the script asks for others as they are scrolled to."""
LAST_LINES = 8
"""How many of the failing step's lines stand beside the reason."""


@dataclass(frozen=True, slots=True)
class StepView:
    """One step, as the list of steps shows it."""

    label: str
    state: str
    seconds: float | None
    started_at: datetime | None
    note: str
    line: int | None
    """The id of its first line in the log."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """When an unfinished deployment will probably end, by the last ones that succeeded."""

    ends_at: datetime
    total: float
    runs: int


@dataclass(frozen=True, slots=True)
class FailedStep:
    """The step that failed, with the last lines it wrote."""

    label: str
    lines: Sequence[DeploymentLogLine]


@dataclass(frozen=True, slots=True)
class NextStepButton:
    """A step that the hint names, as a button; without an address it deploys again."""

    action: str
    label: str
    href: str


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
    estimate: Estimate | None
    failed: FailedStep | None
    next_steps: tuple[NextStepButton, ...]
    waits_for: str = ""
    """Why it does not begin, or does not continue, at present."""
    log: LogPage = NO_LINES
    log_days: int = 0
    """For how many days logs are kept."""
    labels: Mapping[str, str] = field(default_factory=lambda: STEP_LABELS)
    needs: Mapping[str, str] = field(default_factory=lambda: NEEDS)


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
    lines = await find_step_lines(session, deployment_id)
    usual = await read_usual(session, row)
    return DeploymentView(
        deployment=row,
        service=service,
        project=await get_project(session, scope, service.project_id),
        state=_word_of(row, has_moved=has_moved),
        steps=tuple(_step_view(step, lines.get(step.name)) for step in steps),
        build=await queries.find_build(session, row.build_id),
        release=release,
        urls=tuple(await list_urls(session, resources.settings, service.id)),
        is_active=row.state in rules.ACTIVE,
        has_moved=has_moved,
        is_live=live is not None and live.release_id == row.release_id,
        back_to=await _find_way_back(session, row, release, live),
        seconds=_seconds(row.started_at, row.finished_at),
        estimate=_estimate(usual, steps) if usual else None,
        failed=await _find_failed(session, row, steps),
        next_steps=tuple(_place(NextStep.model_validate(step), service.id) for step in row.next_steps),
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


def _step_view(step: DeploymentStep, line: int | None) -> StepView:
    shown = _STEP_STATES.get(step.state, step.state)
    return StepView(
        STEP_LABELS.get(step.name, step.name), shown, _seconds(step.started_at, step.finished_at), step.started_at,
        step.detail if shown != "failed" else "", line,
    )  # fmt: skip


def _estimate(usual: Usual, steps: Sequence[DeploymentStep]) -> Estimate | None:
    total = usual.total(steps)
    return Estimate(now() + timedelta(seconds=usual.left(steps, now())), total, usual.runs) if total else None


async def _find_failed(session: AsyncSession, row: Deployment, steps: Sequence[DeploymentStep]) -> FailedStep | None:
    step = next((step for step in steps if step.state == "failed"), None) if row.state == "failed" else None
    if step is None:
        return None
    lines = await read_last_lines(session, row.id, step.name, LAST_LINES)
    return FailedStep(STEP_LABELS.get(step.name, step.name), lines)


def _place(step: NextStep, service_id: str) -> NextStepButton:
    return NextStepButton(step.action, step.label, address_of(step, service_id))


def _seconds(started_at: datetime | None, finished_at: datetime | None) -> float | None:
    return (finished_at - started_at).total_seconds() if started_at and finished_at else None


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
