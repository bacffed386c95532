"""Grants a service what reaches beyond its containers, and takes it back."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.events import Fact, record
from orca.features.services.models import Service
from orca.features.services.queries import get_service
from orca.web.guard import Scope


async def set_privileges(session: AsyncSession, scope: Scope, service_id: str, wanted: Sequence[str]) -> Service:
    """Replace the privileges of a service. What runs keeps those that it was started with.

    The next deployment of a release that needs more is refused.
    """
    service = await get_service(session, scope, service_id, lock=True)
    before, after = set(service.privileges), set(wanted)
    if before == after:
        return service
    service.privileges, service.updated_at = sorted(after), now()
    payload = {"slug": service.slug, "granted": sorted(after - before), "revoked": sorted(before - after)}
    await record(session, Fact("PrivilegesChanged", scope.team_id, "service", service.id, payload))
    return service
