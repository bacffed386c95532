"""Stop a deployment in whatever state it is."""

from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Conflict
from orca.events import Fact, origin, record
from orca.features.deployments.models import Deployment, DeploymentStep
from orca.features.deployments.queries import names_of
from orca.features.deployments.rules import ENDED, FINISHED, TAKES_DOWN
from orca.resources import Resources


async def cancel_deployment(session: AsyncSession, resources: Resources, deployment: Deployment) -> None:
    """End a queued deployment now; a running one is stopped by its task within 15 s, and what it started is removed."""
    await session.refresh(deployment, with_for_update=True)
    if deployment.state in FINISHED:
        raise Conflict(f"this deployment has already ended: {ENDED[deployment.state]}")
    if deployment.state == "running":
        await _check_in_time(session, deployment)
    reason = f"cancelled by {origin.get().actor}"
    if deployment.task_id is not None:
        await resources.tasks.cancel(session, deployment.task_id, reason)
    if deployment.state == "queued":
        deployment.state, deployment.reason, deployment.finished_at = "cancelled", reason, now()
    payload = await names_of(session, deployment)
    await record(session, Fact("DeploymentCancelled", deployment.team_id, "service", deployment.service_id, payload))


async def _check_in_time(session: AsyncSession, deployment: Deployment) -> None:
    if deployment.kind in TAKES_DOWN:
        raise Conflict("the service is being stopped already", hint="Start it again once it has stopped.")
    route = await session.get(DeploymentStep, (deployment.id, "route_traffic"))
    if route is not None and route.state == "succeeded":
        raise Conflict("this deployment is live already; only the old release is still retiring",
                       hint="Roll back to go to the release before it: `orc rollback`.")  # fmt: skip
