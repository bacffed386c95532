"""Names below the base domain belong to the project that had them first, also after their route was deleted."""

from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import Conflict
from orca.features.routing.models import HeldName
from orca.features.services.models import Project, Service
from orca.settings import Settings


async def hold_name(session: AsyncSession, settings: Settings, hostname: str, service: Service) -> None:
    """Give a name below the base domain to the service's project. Raises Conflict when it is another project's.

    The caller holds the lock on names.
    """
    if not hostname.endswith(f".{settings.base.domain}"):
        return
    other = await find_other_holder(session, hostname, service)
    if other is not None:
        whose = f"the project “{other.slug}”" if other.team_id == service.team_id else "another project"
        hint = (
            "Choose another name; names below the base domain stay with their project, so that no other can pose as it."
        )
        raise Conflict(f"{hostname} belongs to {whose}", hint=hint)
    await session.merge(HeldName(hostname=hostname, team_id=service.team_id, project_id=service.project_id))


async def find_other_holder(session: AsyncSession, hostname: str, service: Service) -> Project | None:
    """The project that a name belongs to, if it is not the service's own. A deleted project leaves it to its team."""
    held = await session.get(HeldName, hostname)
    if held is None or held.project_id == service.project_id:
        return None
    project = await session.get_one(Project, held.project_id)
    return None if project.deleted_at is not None and held.team_id == service.team_id else project
