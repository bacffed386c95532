"""Background doors: news of services, and the duties that keep proxy, names and certificates as they should be."""

from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import Fact, subscribe
from orca.features.routing.actions import (
    check_drift,
    check_names,
    ensure_automatic_route,
    forget_service,
    watch_expiry,
)
from orca.features.routing.steps.run_orders import run_orders
from orca.features.services.queries import find_service
from orca.resources import Resources
from orca.tasks import Periodic


async def _on_service(session: AsyncSession, fact: Fact) -> None:
    service = await find_service(session, str(fact.object_id))
    if service is None or service.deleted_at is not None:
        return
    if any(port.get("public") for port in service.ports):
        resources: Resources = session.info["resources"]
        await ensure_automatic_route(session, resources, service)


async def _on_service_deleted(session: AsyncSession, fact: Fact) -> None:
    await forget_service(session, str(fact.object_id))


subscribe("ServiceCreated", _on_service)
subscribe("ServiceUpdated", _on_service)
subscribe("ServiceDeleted", _on_service_deleted)

PERIODIC = (
    Periodic("routes", 30, check_drift),
    Periodic("names", 15, check_names),
    Periodic("orders", 5, run_orders),
    Periodic("certificates", 3600, watch_expiry),
)
