"""The page of what a service writes."""

from dataclasses import dataclass
from functools import partial

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession
from orca.features.deployments.models import Deployment
from orca.features.deployments.observer import survey_recently, watch_engines
from orca.features.deployments.schemas import ServiceStatusOut
from orca.features.deployments.statuses import read_statuses
from orca.features.projects.models import Project
from orca.features.services.models import Service
from orca.features.services.service_status import ServiceStatus, load_header
from orca.resources import Resources
from orca.web.guard import CurrentResources, CurrentScope, Router, Scope, guard
from orca.web.live import Sources, stream_fragment
from orca.web.render import draw, render

router = Router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why nothing new is written, and what can be done about it."""

    title: str
    tone: str
    now: ServiceStatusOut
    service: Service
    deployment: Deployment | None


@dataclass(frozen=True, slots=True)
class LogsPage:
    """The output of a service's processes."""

    service: Service
    project: Project
    status: ServiceStatus
    ending: Ending | None
    is_stored: bool
    kept: str
    """How much is kept, in words."""
    tab: str = "logs"


@dataclass(frozen=True, slots=True)
class EndingPage:
    """The head and the notice, which are drawn again when the service changes."""

    service: Service
    project: Project
    status: ServiceStatus
    ending: Ending | None
    tab: str = "logs"


_TITLES = {
    "stopped": ("Stopped", "info"), "crashed": ("The process ended", "bad"),
    "crash-looping": ("The process keeps ending", "bad"), "degraded": ("Not all replicas run", "warn"),
    "failed": ("The last deployment failed", "bad"), "empty": ("Nothing was deployed yet", "info"),
    "down": ("Scaled to 0 replicas", "info"), "unknown": ("Its state is not known", "warn"),
}  # fmt: skip


@router.get("/services/{service_id}/output")
@guard("service.read", tenant="service_id", page=True)
async def show_logs(
    service_id: str, request: Request, session: ReadSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Show what all replicas wrote and write."""
    head = await load_header(request, session, scope, service_id)
    ending = await find_ending(session, scope, resources, head.service)
    limits = resources.settings.logs
    kept = f"{limits.mb} MB and {limits.days} days are kept for each service"
    page = LogsPage(*head, ending, limits.stored, kept)
    return render(request, "logs/logs.html", page)


@router.get("/services/{service_id}/output/live")
@guard("service.read", tenant="service_id", rate="stream", page=True)
async def follow_ending(
    service_id: str, request: Request, scope: CurrentScope, resources: CurrentResources
) -> StreamingResponse:
    """Stream the head, and whether the service has stopped or crashed meanwhile."""

    async def draw_now() -> tuple[str, bool]:
        await survey_recently(resources)
        async with resources.db.read(scope.team_id, scope.reach) as session:
            head = await load_header(request, session, scope, service_id)
            ending = await find_ending(session, scope, resources, head.service)
        return draw(request, "logs/_live.html", EndingPage(*head, ending)), False

    return stream_fragment(request, draw_now, Sources(others=[partial(watch_engines, resources)]))


async def find_ending(session: AsyncSession, scope: Scope, resources: Resources, service: Service) -> Ending | None:
    """Return why a service writes nothing, or less than it should; None while it runs or is being deployed."""
    last = await session.scalar(
        select(Deployment).where(Deployment.service_id == service.id).order_by(Deployment.seq.desc()).limit(1)
    )
    (now,) = await read_statuses(session, scope, resources, [service])
    if now.state not in _TITLES:
        return None
    return Ending(*_TITLES[now.state], now, service, last)
