"""Stop the old release before the new one starts, so that never two processes work on the same files."""

import asyncio

from orca.features.deployments.actions.progress import find_step
from orca.features.deployments.rules import was_stopped_by
from orca.features.deployments.steps.retire_previous import find_old, grace_of
from orca.features.deployments.steps.work import Facts, Work, check_frozen_volumes, load


async def stop_previous(work: Work) -> str:
    """TERM, wait, KILL, and keep the containers: they are started again when the new release fails."""
    facts = await load(work)
    await check_frozen_volumes(work, facts)
    stopped = await stop_old(work, facts)
    return f"{stopped} container{'s' if stopped != 1 else ''} stopped"


async def stop_old(work: Work, facts: Facts) -> int:
    """Stop whatever runs of this service and is not of this deployment; gives how many that were."""
    running = [each for each in await find_old(work, facts) if each.state in {"running", "restarting", "paused"}]
    await asyncio.gather(*(work.resources.engine.stop(each.id, grace=grace_of(each)) for each in running))
    return len(running)


async def start_previous(work: Work) -> None:
    """Take it back: whatever of the live release stands still because of this deployment runs again."""
    facts = await load(work)
    step = await find_step(work.resources.db, work.deployment_id, "stop_previous")
    if step is None or facts.deployment.previous_deployment_id is None:
        return
    previous = await work.resources.engine.inspect({"orca.deployment": facts.deployment.previous_deployment_id})
    stopped = [each for each in previous if was_stopped_by(step.started_at, each)]
    await asyncio.gather(*(work.resources.engine.start(each.name) for each in stopped))
