"""Events of routes, with the hostname and service that they concern."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.routing.models import Route
from orca.features.services.models import Service


async def names_of(session: AsyncSession, route: Route) -> dict[str, Any]:
    """Return hostname and path of a route and its service's id and slug, which every event about it carries."""
    service = await session.get(Service, route.service_id)
    return {
        "hostname": route.hostname, "path_prefix": route.path_prefix, "service_id": route.service_id,
        "service": service.slug if service is not None else "",
    }  # fmt: skip
