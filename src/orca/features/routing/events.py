"""What happens to routes, so that people know which hostname and service it was."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import Fact, Outcome
from orca.features.routing.models import Route
from orca.features.services.models import Service


async def fact_of(session: AsyncSession, name: str, route: Route, outcome: Outcome = "done", **more: Any) -> Fact:
    """A fact about a route; its payload begins with hostname, path and the service's id and slug."""
    service = await session.get(Service, route.service_id)
    place = {
        "hostname": route.hostname, "path_prefix": route.path_prefix, "service_id": route.service_id,
        "service": service.slug if service is not None else "",
    }  # fmt: skip
    return Fact(name, route.team_id, "route", route.id, place | more, outcome)
