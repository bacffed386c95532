"""Where the live release of a service listens; told by deployments, read by the proxy's configuration."""

from collections.abc import Sequence

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.routing.models import Route, Target
from orca.features.routing.schemas import TargetIn
from orca.features.services.models import Service


async def set_targets(session: AsyncSession, service: Service, release_id: str, targets: Sequence[TargetIn]) -> None:
    """Put these in place of whatever the service had. Broken routes of it get another chance."""
    await clear_targets(session, service.id)
    for target in targets:
        session.add(
            Target(
                team_id=service.team_id, service_id=service.id, release_id=release_id, replica=target.replica,
                address=target.address, ports=[port.model_dump() for port in target.ports],
            )
        )  # fmt: skip
    broken = update(Route).where(Route.service_id == service.id, Route.state == "broken")
    await session.execute(broken.values(state="pending", problem=""))
    await session.flush()


async def clear_targets(session: AsyncSession, service_id: str) -> None:
    """Nothing of this service listens any more: its hostnames answer with the down page."""
    await session.execute(delete(Target).where(Target.service_id == service_id))
