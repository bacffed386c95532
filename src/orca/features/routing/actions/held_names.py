"""Names below the base domain belong to the project that had them first, also after their route was deleted.

The same holds for names below such a name, and for a wildcard that covers it: browsers share cookies between them.
"""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import all_teams
from orca.errors import Conflict
from orca.events import origin
from orca.features.projects.models import Project
from orca.features.routing.models import HeldName
from orca.features.routing.rules.hostnames import is_above, names_above
from orca.features.services.models import Service
from orca.settings import Settings


def check_above(settings: Settings, hostname: str) -> None:
    """Raise Forbidden for the base domain and names above it, except to an instance admin: all teams are below them."""
    if is_above(hostname, settings.base.domain):
        origin.get().check_may("instance.admin", f"{hostname}, whose cookies reach the sites of all projects,")


async def hold_name(session: AsyncSession, settings: Settings, hostname: str, service: Service) -> None:
    """Reserve a name below the base domain for the service's project. Raises Conflict when another project has it.

    The caller holds the lock on names.
    """
    if not hostname.endswith(f".{settings.base.domain}"):
        return
    other = await find_other_holder(session, settings, hostname, service)
    if other is not None:
        is_seen = other.team_id == service.team_id and origin.get().may("route.share")
        whose = f"the project “{other.slug}”" if is_seen else "another project"
        hint = (
            "Choose another name; names below the base domain stay with their project, so that no other can pose as it."
        )
        raise Conflict(f"{hostname}, or a name above or below it, belongs to {whose}", hint=hint)
    await session.merge(HeldName(hostname=hostname, team_id=service.team_id, project_id=service.project_id))


async def find_other_holder(
    session: AsyncSession, settings: Settings, hostname: str, service: Service
) -> Project | None:
    """Return the other project that a name, or one above or below it, belongs to; None if there is none.

    None also when the service's project already has the name itself. A deleted project leaves its names to its team.
    """
    with all_teams(session):
        held = await session.get(HeldName, hostname)
        if held is not None and held.project_id == service.project_id:
            return None
        for name in [held] if held is not None else await _list_related(session, settings, hostname):
            if name.project_id != service.project_id:
                project = await session.get_one(Project, name.project_id)
                if project.deleted_at is None or name.team_id != service.team_id:
                    return project
    return None


async def _list_related(session: AsyncSession, settings: Settings, hostname: str) -> Sequence[HeldName]:
    names = names_above(hostname, settings.base.domain)
    near = HeldName.hostname.in_([*names, *(f"*.{name}" for name in names)])
    below = HeldName.hostname.endswith(f".{names[0]}", autoescape=True)
    return (await session.scalars(select(HeldName).where(or_(near, below)).order_by(HeldName.hostname))).all()
