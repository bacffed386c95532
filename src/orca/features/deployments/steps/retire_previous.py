"""Let the old release finish what it is doing, then stop and remove it. A failure here is a warning."""

import asyncio

from orca.errors import OrcaError
from orca.features.deployments.actions.progress import add_warning
from orca.features.deployments.steps.work import Facts, Work, load
from orca.sdk.engines import Container

DRAIN_SECONDS = 2.0
"""Time in which requests that were already on their way reach the old release."""


async def retire_previous(work: Work) -> str:
    """Drain, TERM, wait, KILL, remove: every container of the service but those of this deployment."""
    facts = await load(work)
    engine = work.resources.engine
    found = await engine.inspect({"orca.service": facts.service.id})
    old = [container for container in found if _is_old(container, facts)]
    if any(container.state == "running" for container in old):
        await asyncio.sleep(DRAIN_SECONDS)
    problems = await asyncio.gather(*(_retire(work, container) for container in old))
    for problem in filter(None, problems):
        await add_warning(work.resources.db, work.deployment_id, problem)
        await work.log.write(problem)
    return f"{len(old)} container{'s' if len(old) != 1 else ''} removed"


def _is_old(container: Container, facts: Facts) -> bool:
    if "orca.replica" not in container.labels:
        return False
    takes_down = facts.deployment.kind in {"stop", "remove"}
    return takes_down or container.labels.get("orca.deployment") != facts.deployment.id


async def _retire(work: Work, container: Container) -> str | None:
    try:
        await work.resources.engine.stop(container.id, grace=_grace(container))
        await work.resources.engine.remove(container.id)
    except OrcaError as error:
        return f"{container.name} could not be removed: {error.message} It will be tried again."
    return None


def _grace(container: Container) -> float:
    return float(container.labels.get("orca.stop-grace", "10"))
