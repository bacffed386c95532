"""The targets of a service's live release: written by deployments, read for the proxy's configuration."""

from collections.abc import Sequence

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.routing.models import Route, Target
from orca.features.routing.schemas.routes import TargetIn
from orca.features.services.models import Service


async def set_targets(session: AsyncSession, service: Service, release_id: str, targets: Sequence[TargetIn]) -> None:
    """Replace the targets of the service. Its broken routes become pending, so that they are tried again."""
    await clear_targets(session, service.id)
    for target in targets:
        session.add(
            Target(
                team_id=service.team_id, service_id=service.id, release_id=release_id, replica=target.replica,
                address=target.address, ports=[port.model_dump() for port in target.ports], system_id=target.system,
            )
        )  # fmt: skip
    broken = update(Route).where(Route.service_id == service.id, Route.state == "broken")
    await session.execute(broken.values(state="pending", problem="", revision=Route.revision + 1))
    await session.flush()


async def clear_targets(session: AsyncSession, service_id: str) -> None:
    """Delete the targets of a service: its hostnames then answer with the down page."""
    await session.execute(delete(Target).where(Target.service_id == service_id))
