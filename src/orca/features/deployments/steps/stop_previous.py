"""Stop the old release before the new one starts, so that two processes never work on the same files."""

import asyncio

from orca.features.deployments.operations.progress import find_step
from orca.features.deployments.rules import was_stopped_by
from orca.features.deployments.steps.ensure_release import ensure_release
from orca.features.deployments.steps.retire_previous import find_old
from orca.features.deployments.steps.work import DeploymentRows, StepContext, check_frozen_volumes, load, systems_of


async def stop_previous(work: StepContext) -> str:
    """TERM, wait, KILL; the containers stay, because they are started again when the new release fails."""
    facts = await load(work)
    await check_frozen_volumes(work, facts)
    facts = await ensure_release(work, facts)
    if facts.continues:
        return "what runs stays"
    stopped = await stop_old(work, facts)
    return f"{stopped} container{'s' if stopped != 1 else ''} stopped"


async def stop_old(work: StepContext, facts: DeploymentRows) -> int:
    """Stop all running replicas of the service that are not of this deployment; returns how many."""
    stopped = 0
    for system_id in systems_of(facts):
        engine, old = await work.resources.systems.engine(system_id), await find_old(work, facts, system_id)
        running = [replica for replica in old if replica.state in {"running", "restarting", "paused"}]
        await asyncio.gather(*(engine.stop(replica) for replica in running))
        stopped += len(running)
    return stopped


async def start_previous(work: StepContext) -> None:
    """Undo `stop_previous`: start the containers of the live release that this deployment stopped."""
    facts = await load(work)
    step = await find_step(work.resources.db, work.deployment_id, "stop_previous")
    if step is None or facts.previous is None:
        return
    engine = await work.resources.systems.engine(facts.previous_system_id)
    previous = await engine.observe({"orca.deployment": facts.previous.id})
    stopped = [
        replica for replica in previous if facts.previous.includes(replica) and was_stopped_by(step.started_at, replica)
    ]
    await asyncio.gather(*(engine.start(replica) for replica in stopped))
