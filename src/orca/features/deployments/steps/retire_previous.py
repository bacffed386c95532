"""Let the old release finish what it is doing, then stop and remove it. A failure here is a warning."""

import asyncio
from contextlib import suppress

from orca.errors import OrcaError, ProviderError
from orca.features.deployments.actions.progress import add_warning
from orca.features.deployments.queries import list_unknown
from orca.features.deployments.rules import TAKES_DOWN, network_name
from orca.features.deployments.steps.patience import with_patience
from orca.features.deployments.steps.work import Facts, Work, load
from orca.sdk.engines import Container

DRAIN_SECONDS = 2.0
"""Time in which requests that were already on their way reach the old release."""
LATER = "It will be tried again within two minutes."


async def retire_previous(work: Work) -> str:
    """Drain, TERM, wait, KILL, remove: every container of the service but those of this deployment."""
    facts = await load(work)
    try:
        old = await with_patience(work, lambda: find_old(work, facts))
    except ProviderError as error:
        await _warn(work, f"Old containers could not be looked for: {error.message} {LATER}")
        return ""
    if any(container.state == "running" for container in old):
        await asyncio.sleep(DRAIN_SECONDS)
    async with work.resources.db.read() as session:
        unknown = await list_unknown(session, old) if facts.deployment.kind != "remove" else set()
    left = [container for container in old if container.labels.get("orca.deployment") in unknown]
    old = [container for container in old if container not in left]
    if left:
        await _leave(work, facts, left)
    problems = await asyncio.gather(*(_retire(work, container) for container in old))
    for problem in filter(None, problems):
        await _warn(work, problem)
    if facts.deployment.kind == "remove":
        await _leave_network(work, facts)
    return f"{len(old)} container{'s' if len(old) != 1 else ''} removed"


async def find_old(work: Work, facts: Facts) -> list[Container]:
    """The service's containers that are not of this deployment; all of them when it takes the service down."""
    found = await work.resources.engine.inspect({"orca.service": facts.service.id})
    return [container for container in found if _is_old(container, facts)]


async def _leave(work: Work, facts: Facts, unknown: list[Container]) -> None:
    """Of deployments that are in no row: an administrator decides what becomes of them. A service that stops, stops."""
    if facts.deployment.kind in TAKES_DOWN:
        await asyncio.gather(*(work.resources.engine.stop(each.id, grace=grace_of(each)) for each in unknown))
    names = ", ".join(container.name for container in unknown)
    await _warn(work, f"Left alone, because this database does not know them: {names}. `orc orphans` shows them.")


async def _leave_network(work: Work, facts: Facts) -> None:
    """The environment's network goes with its last service; it is made again for the next one."""
    with suppress(OrcaError):  # others still use it
        await work.resources.engine.remove_network(network_name(facts.service.environment_id))


async def _warn(work: Work, problem: str) -> None:
    await add_warning(work.resources.db, work.deployment_id, problem)
    await work.log.write(problem)


def _is_old(container: Container, facts: Facts) -> bool:
    if "orca.replica" not in container.labels:
        return False
    takes_down = facts.deployment.kind in TAKES_DOWN
    return takes_down or container.labels.get("orca.deployment") != facts.deployment.id


async def _retire(work: Work, container: Container) -> str | None:
    async def stop_and_remove() -> None:
        await work.resources.engine.stop(container.id, grace=grace_of(container))
        await work.resources.engine.remove(container.id)

    try:
        await with_patience(work, stop_and_remove)
    except OrcaError as error:
        return f"{container.name} could not be removed: {error.message} {LATER}"
    return None


def grace_of(container: Container) -> float:
    """Seconds between TERM and KILL, as its release was made with."""
    return float(container.labels.get("orca.stop-grace", "10"))
