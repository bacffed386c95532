"""Let the old release finish its requests, then stop and remove it. A failure here is only a warning."""

import asyncio

from orca.errors import OrcaError, ProviderError
from orca.features.deployments.operations.progress import add_warning
from orca.features.deployments.queries import list_unknown
from orca.features.deployments.rules import TAKES_DOWN, maker_of
from orca.features.deployments.steps.last_words import remove_replica
from orca.features.deployments.steps.retry import retry_while_unavailable
from orca.features.deployments.steps.work import (
    DeploymentRows,
    StepContext,
    leave_networks,
    list_networks,
    load,
    systems_of,
)
from orca.features.projects.rules import network_of
from orca.sdk.workloads import Replica

DRAIN_SECONDS = 2.0
"""How long requests already in flight may take to reach the old release."""
LATER = "It will be tried again within two minutes."


async def retire_previous(work: StepContext) -> str:
    """Drain, TERM, wait, KILL, remove: every replica of the service that should not run any more."""
    facts = await load(work)
    found = {system_id: await _look(work, facts, system_id) for system_id in systems_of(facts)}
    looked = {system_id: old for system_id, old in found.items() if old is not None}
    if any(replica.state == "running" for old in looked.values() for replica in old):
        await asyncio.sleep(DRAIN_SECONDS)
    counts = [await _retire_all(work, facts, system_id, old) for system_id, old in looked.items()]
    if looked:
        await leave_networks(work, _unused_networks(facts), looked)
    return f"{sum(counts)} container{'s' if sum(counts) != 1 else ''} removed" if counts else ""


async def _look(work: StepContext, facts: DeploymentRows, system_id: str) -> list[Replica] | None:
    """Return the old replicas on a system; None, with a warning, when its engine does not answer."""
    try:
        return await retry_while_unavailable(work, lambda: find_old(work, facts, system_id), system_id)
    except ProviderError as error:
        await _warn(work, f"Old containers could not be looked for: {error.message} {LATER}")
        return None


async def _retire_all(work: StepContext, facts: DeploymentRows, system_id: str, old: list[Replica]) -> int:
    """Stop and remove the old replicas on a system, except those that this database does not know."""
    async with work.resources.db.read() as session:
        unknown = await list_unknown(session, old) if facts.deployment.kind != "remove" else set()
    left = [replica for replica in old if maker_of(replica) in unknown]
    old = [replica for replica in old if replica not in left]
    if left:
        await _leave(work, facts, system_id, left)
    problems = await asyncio.gather(*(_retire(work, system_id, replica) for replica in old))
    for problem in filter(None, problems):
        await _warn(work, problem)
    return len(old)


async def find_old(work: StepContext, facts: DeploymentRows, system_id: str) -> list[Replica]:
    """Return the service's replicas on a system that this deployment replaces; all when it takes the service down."""
    engine = await work.resources.systems.engine(system_id)
    found = await engine.observe({"orca.service": facts.service.id})
    return [replica for replica in found if _is_old(replica, facts)]


async def _leave(work: StepContext, facts: DeploymentRows, system_id: str, unknown: list[Replica]) -> None:
    """Keep containers of unknown deployments, about which an administrator decides, and add a warning.

    They are stopped, but not removed, when the service is being stopped or removed.
    """
    if facts.deployment.kind in TAKES_DOWN:
        engine = await work.resources.systems.engine(system_id)
        await asyncio.gather(*(engine.stop(replica_id) for replica_id in unknown))
    names = ", ".join(replica.name for replica in unknown)
    await _warn(work, f"Left alone, because this database does not know them: {names}. `orc orphans` shows them.")


def _unused_networks(facts: DeploymentRows) -> list[str]:
    """Return the networks that the service has left; with the service itself, also that of its environment."""
    now = list_networks(facts.deployment, facts.service)
    left = [name for name in facts.previous_networks if name not in now]
    return [*left, network_of(facts.service.environment_id)] if facts.deployment.kind == "remove" else left


async def _warn(work: StepContext, problem: str) -> None:
    await add_warning(work.resources.db, work.deployment_id, problem)
    await work.log.write(problem)


def _is_old(replica: Replica, facts: DeploymentRows) -> bool:
    return facts.deployment.kind in TAKES_DOWN or not facts.workload.includes(replica)


async def _retire(work: StepContext, system_id: str, replica: Replica) -> str | None:
    engine = await work.resources.systems.engine(system_id)

    async def stop_and_remove() -> None:
        await engine.stop(replica)
        await remove_replica(work.resources, system_id, replica)

    try:
        await retry_while_unavailable(work, stop_and_remove, system_id)
    except OrcaError as error:
        return f"{replica.name} could not be removed: {error.message} {LATER}"
    return None
