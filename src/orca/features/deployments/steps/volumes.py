"""Makes volumes writable for the user of the process: sets configured owners, and warns of unwritable volumes.

A deployment that fails restores the owners it changed: the former owner is stored before it is changed.
A volume that several services mount has one owner, which only `orc volumes edit` changes: two services that run as
different users would otherwise take the data from each other with every deployment.
"""

from dataclasses import asdict
from functools import partial

from orca.errors import OrcaError
from orca.features.deployments.models import Deployment
from orca.features.deployments.operations.progress import add_warning
from orca.features.deployments.schemas import Remedy
from orca.features.deployments.steps.give_back import CHOWN_SECONDS, owner_workload, pay_debts, turn_of
from orca.features.deployments.steps.work import DeploymentRows, StepContext, workload_of
from orca.features.services.volume_queries import Sharing
from orca.sdk.engines import EngineUnreachable, SupportsVolumeOwners
from orca.sdk.workloads import Mount, Replica, Unwritable, Workload


async def own_volumes(work: StepContext, facts: DeploymentRows) -> None:
    """Set the owners that volumes configure, where they differ. Safe to repeat."""
    engine = await work.engine()
    if facts.continues or not facts.config.mounts or not isinstance(engine, SupportsVolumeOwners):
        return
    await _warn_of_other_owners(work, facts)
    users = {facts.service.id, *(user for shared in facts.shared.values() for user in shared.services)}
    for user in users:  # else the wrong owner would be taken for the former one
        async with turn_of(work.resources, user):
            await pay_debts(work.resources, user)
    async with turn_of(work.resources, facts.service.id):
        for mount in workload_of(facts, work.resources).mounts:
            if (mount.owner or mount.mode is not None) and not mount.read_only:
                async with turn_of(work.resources, mount.volume):
                    await _own(work, facts, engine, mount)


async def _warn_of_other_owners(work: StepContext, facts: DeploymentRows) -> None:
    """Warn of owners that this release names for volumes which others mount, and which keep another owner."""
    for mount in facts.config.mounts:
        shared = facts.shared.get(facts.config.volume_names[mount.name])
        if shared is None or mount.owner in {"", shared.owner}:
            continue
        kept = f"belongs to {shared.owner}" if shared.owner else "names no owner"
        warning = (
            f"this release names {mount.owner} as the owner of the volume {mount.name}. The volume is shared with "
            f"{_others(shared)} and {kept}, so its data was left as it is. Let all of them run as one user; "
            f"`orc volumes edit {mount.name} --owner {mount.owner}` changes the owner for all."
        )
        await work.log.write(f"Warning: {warning}")
        await add_warning(work.resources.db, work.deployment_id, warning)


def _others(shared: Sharing) -> str:
    return ", ".join(shared.services.values())


async def _own(work: StepContext, facts: DeploymentRows, engine: SupportsVolumeOwners, mount: Mount) -> None:
    owning = owner_workload(work, facts, mount, "owner")
    if facts.previous is not None or mount.volume in facts.shared:
        await _note_owner(work, engine, owning)
    if not mount.owner:
        return
    mark = partial(_mark_changed, work, mount.volume)
    if await engine.own_volume(owning, before=mark, deadline=CHOWN_SECONDS, progress=work.log.write):
        await work.log.write(f"The data in the volume at {mount.path} belongs to {mount.owner} now.")


async def _note_owner(work: StepContext, engine: SupportsVolumeOwners, owning: Workload) -> None:
    """Store the former owner once, before anything is changed: after a crash the data may have two owners."""
    (mount,) = owning.mounts
    async with work.resources.db.read() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
    if mount.volume in deployment.former_owners:
        return
    owner = await engine.find_owner(owning)
    if owner is None:
        return
    async with work.resources.db.write() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
        deployment.former_owners = {**deployment.former_owners, mount.volume: asdict(owner)}


async def _mark_changed(work: StepContext, volume: str) -> None:
    """Store that the owner of the volume's contents is being changed, so that the undo restores it as well."""
    async with work.resources.db.write() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
        former = deployment.former_owners
        if volume in former:
            deployment.former_owners = {**former, volume: {**former[volume], "changed": True}}


async def warn_of_closed_volumes(work: StepContext, facts: DeploymentRows, replicas: list[Replica]) -> None:
    """Warn of volumes that the process cannot write to: most programs fail only at the first use."""
    engine = await work.engine()
    if not facts.config.mounts or not replicas or not isinstance(engine, SupportsVolumeOwners):
        return
    try:
        found = await engine.find_unwritable(replicas[0])
    except EngineUnreachable:
        raise
    except OrcaError as error:
        await work.log.write(f"Whether its volumes can be written to is not known: {error.message}")
        return
    names = {engine_name: name for name, engine_name in facts.config.volume_names.items()}
    for unwritable in found:
        if unwritable.volume in names:
            await _warn(work, names[unwritable.volume], unwritable, facts.shared.get(unwritable.volume))


async def _warn(work: StepContext, name: str, found: Unwritable, shared: Sharing | None) -> None:
    owner = f"{found.uid}:{found.gid}"
    command = f"orc volumes edit {name} --owner {owner}"
    remedy = Remedy(
        action="own-volume", label=f"Give the volume {name} to {owner}", command=command, volume=name, owner=owner
    )
    what = f"{found.place} in the volume {name}" if found.place != found.path else f"the volume {name} at {found.path}"
    warning = f"{what} is not writable for uid {found.uid}, as which the process runs; its data was left as it is. "
    if shared is None:
        warning += f"`{command}` and a deployment give it to that user."
    else:  # no remedy of one click: it would take the data from the others
        warning += (
            f"The service shares it with {_others(shared)}: let all of them run as the same user (`user` in the "
            f"settings), or mount it read only here. `{command}` would take it from the others."
        )
    await work.log.write(f"Warning: {warning}")
    await add_warning(work.resources.db, work.deployment_id, warning, *(() if shared else (remedy,)))
