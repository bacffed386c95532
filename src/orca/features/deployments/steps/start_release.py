"""Start the replicas of the new release beside the old ones."""

from orca.errors import Conflict, OrcaError, RequestRefused
from orca.features.deployments.errors import CannotStart
from orca.features.deployments.exits import explain_exit, is_other_machine
from orca.features.deployments.next_steps import change_settings
from orca.features.deployments.operations.progress import add_warning
from orca.features.deployments.queries import list_unknown
from orca.features.deployments.rules import maker_of
from orca.features.deployments.steps.ensure_release import ensure_release
from orca.features.deployments.steps.host_folders import check_host_folders, warn_of_shared_folders
from orca.features.deployments.steps.last_words import remove_replica
from orca.features.deployments.steps.stop_previous import stop_old
from orca.features.deployments.steps.volumes import own_volumes, warn_of_closed_volumes
from orca.features.deployments.steps.work import (
    DeploymentRows,
    StepContext,
    check_frozen_volumes,
    find_own,
    find_replicas,
    load,
    workload_of,
)
from orca.kit.amounts import counted
from orca.sdk.workloads import Replica


async def start_release(work: StepContext) -> str:
    """Plan what is missing and apply it. The engine recognises what is there, so a repeated step adds nothing."""
    facts = await ensure_release(work, await load(work))
    await check_frozen_volumes(work, facts)
    check_host_folders(work, facts)
    if facts.config.recreates and not facts.continues:
        await stop_old(work, facts)  # it may have been started again meanwhile
    await own_volumes(work, facts)
    engine = await work.engine()
    replicas = await _remove_leftovers(work, facts, await find_replicas(work, facts))
    current = {replica.id: replica for replica in (*replicas, *await find_own(work, facts))}
    changes = engine.plan(list(current.values()), workload_of(facts, work.resources))
    for change in changes:
        await work.log.write(change.describe())
    try:
        await engine.apply(changes)
    except RequestRefused as error:
        raise await explain_refusal(work, facts, error) from error
    await warn_of_closed_volumes(work, facts, await find_replicas(work, facts))
    await warn_of_shared_folders(work, facts)
    count = facts.config.replicas
    if count > 1 and facts.config.mounts:
        names = ", ".join(mount.name for mount in facts.config.mounts)
        shared = f"{count} replicas share {names}; that is only for programs that were made to share their files."
        await add_warning(work.resources.db, work.deployment_id, shared)
    kept = sum(not facts.is_own(replica) for replica in replicas)
    return f"{counted(count, 'replica')} of {_short(facts)}{f'; {kept} of them ran before' if kept else ''}"


async def _remove_leftovers(work: StepContext, facts: DeploymentRows, replicas: list[Replica]) -> list[Replica]:
    """Remove replicas that a failed scaling left, since they were never healthy; return those that may stay."""
    if not facts.continues or facts.previous is None:
        return replicas
    left = [replica for replica in replicas if not facts.previous.includes(replica) and not facts.is_own(replica)]
    async with work.resources.db.read() as session:
        unknown = await list_unknown(session, left)
    for replica in left:
        if maker_of(replica) in unknown:
            raise Conflict(
                f"there is a replica {replica.name} that this database does not know",
                hint="Decide about it first: `orc orphans` shows it.",
            )
        await remove_replica(work.resources, work.system_id, replica)
    return [replica for replica in replicas if replica not in left]


async def explain_refusal(work: StepContext, facts: DeploymentRows, error: RequestRefused) -> OrcaError:
    """Turn the refusal into CannotStart when the program cannot be executed; return any other error unchanged."""
    found = await find_own(work, facts)
    code = next((replica.exit_code for replica in found if replica.state == "created" and replica.exit_code), None)
    if code is None:
        return error
    ending = explain_exit(code, kind=facts.config.kind)
    host = await work.containers()
    image = await host.find_image(found[0].image_id)
    info = await host.info()
    hint, steps = ending.hint, change_settings("command")
    if image is not None and is_other_machine(image.architecture, info.architecture):
        hint, steps = (
            f"The image is made for {image.architecture}, and this machine is {info.architecture}: build it for that.",
            (),
        )
    return CannotStart(
        f"the process could not be started (exit code {code})", hint=f"{hint}{facts.old_serves}", next_steps=steps
    )


def _short(facts: DeploymentRows) -> str:
    return f"release {facts.release.number}" if facts.release else "release"
