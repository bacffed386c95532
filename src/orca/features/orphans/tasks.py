"""What is done before any task goes on: deployments of an older database do not replace what a newer one made."""

import asyncio

import structlog
from sqlalchemy import select

from orca.errors import ProviderError
from orca.features.deployments.models import Deployment
from orca.features.deployments.queries import list_unknown
from orca.features.deployments.rules import ACTIVE, maker_of
from orca.features.orphans.queries import look_at_containers
from orca.resources import Resources

log = structlog.get_logger("orca.orphans")
_LOOK_SECONDS = 10


async def hold_back(resources: Resources) -> None:
    """Cancel unfinished deployments of services of which a deployment runs that this database does not know."""
    async with resources.db.read() as session:
        query = select(Deployment.service_id, Deployment.task_id).where(Deployment.state.in_(ACTIVE))
        active = [(row.service_id, row.task_id) for row in await session.execute(query)]
    if not active:
        return
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            replicas = [replica for found in (await look_at_containers(resources)).values() for replica in found]
    except (ProviderError, TimeoutError) as error:
        log.warning("not_looked_for_orphans", reason=str(error))
        return
    async with resources.db.write() as session:
        unknown = await list_unknown(session, replicas)
        held = {replica.labels.get("orca.service") for replica in replicas if maker_of(replica) in unknown}
        for service_id, task_id in active:
            if service_id in held and task_id is not None:
                reason = "a release runs that this database does not know; decide about it first (`orc orphans`)"
                await resources.tasks.cancel(session, task_id, reason)
