"""What happens to routes, told so that people know which hostname and service it was."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.routing.models import Route
from orca.features.services.models import Service


async def names_of(session: AsyncSession, route: Route) -> dict[str, Any]:
    """How people know a route: hostname, path, and the service's id and slug. Every event about it says so."""
    service = await session.get(Service, route.service_id)
    return {
        "hostname": route.hostname, "path_prefix": route.path_prefix, "service_id": route.service_id,
        "service": service.slug if service is not None else "",
    }  # fmt: skip
