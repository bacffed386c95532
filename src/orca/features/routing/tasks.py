"""Background doors: subscribers to events of services, and the periodic jobs for proxy, names and certificates."""

from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import Fact
from orca.features.routing.actions import ensure_automatic_route, forget_service
from orca.features.routing.operations import check_drift, check_names, watch_expiry
from orca.features.routing.steps.dns_records import sweep_records
from orca.features.routing.steps.run_orders import run_orders
from orca.features.services.queries import find_service
from orca.resources import Resources
from orca.tasks import Periodic


async def on_service_changed(session: AsyncSession, resources: Resources, fact: Fact) -> None:
    """Give a service with a public port its automatic hostname."""
    service = await find_service(session, str(fact.object_id))
    if service is None or service.deleted_at is not None:
        return
    if any(port.get("public") for port in service.ports):
        await ensure_automatic_route(session, resources, service)


async def on_service_deleted(session: AsyncSession, _resources: Resources, fact: Fact) -> None:
    """Remove the hostnames of a deleted service."""
    await forget_service(session, str(fact.object_id))


PERIODIC = (
    Periodic("routes", 30, check_drift),
    Periodic("names", 15, check_names),
    Periodic("orders", 5, run_orders),
    Periodic("certificates", 3600, watch_expiry),
    Periodic("dns-records", 300, sweep_records),
)
