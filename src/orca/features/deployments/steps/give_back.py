"""Restores the owners of volumes after a deployment that failed.

The former owner is stored before a volume's owner is changed, and stays stored until it is restored: by the undo of
the deployment or, when the engine was unreachable or the process died, by a periodic job. The old release does not
start before that.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

import structlog
from sqlalchemy import select

from orca.db import Database
from orca.errors import Conflict, OrcaError, ProviderUnavailable
from orca.features.deployments import queries
from orca.features.deployments.models import Deployment
from orca.features.deployments.operations.log import LogWriter
from orca.features.deployments.operations.progress import add_warning
from orca.features.deployments.steps.last_words import remove_replica
from orca.features.deployments.steps.work import DeploymentRows, StepContext, find_own, load_facts, run_of, workload_of
from orca.features.services.actions import check_volumes
from orca.kit.text import join
from orca.resources import Resources
from orca.sdk.engines import EngineUnreachable, SupportsVolumeOwners
from orca.sdk.workloads import Mount, Replica, VolumeOwner, Workload

log = structlog.get_logger("orca.deployments")

CHOWN_SECONDS = 240.0
UNDO_SECONDS = 600.0


async def give_back_volumes(resources: Resources) -> None:
    """Restore owners that an undo could not restore. Services whose volumes are locked are tried again later."""
    async with resources.db.read() as session:
        owing = (await session.scalars(select(Deployment.service_id).where(queries.owes_volumes()).distinct())).all()
    away: EngineUnreachable | None = None
    for service_id in owing:
        turn = turn_of(resources, service_id)
        if turn.locked():
            continue
        async with turn:
            try:
                await pay_debts(resources, service_id)
            except EngineUnreachable as error:  # perhaps that of another system answers
                away = error
            except OrcaError as error:  # go on with the others; this one is tried again in the next run
                log.warning("volumes_not_given_back", service=service_id, reason=error.message)
    if away is not None:
        raise away


def turn_of(resources: Resources, service_or_volume: str) -> asyncio.Lock:
    """Return the lock to hold while the owners of a service's volumes are changed, and inside it that of the volume."""
    return resources.volume_turns.setdefault(service_or_volume, asyncio.Lock())


async def pay_debts(resources: Resources, service_id: str) -> None:
    """Finish the unfinished undo of a service's ended deployments; the caller holds its `turn_of` lock.

    Raises ProviderUnavailable when it should be tried again.
    """
    query = select(Deployment.id).where(queries.owes_volumes(), Deployment.service_id == service_id)
    async with resources.db.read() as session:
        ids = (await session.scalars(query.order_by(Deployment.seq.desc()))).all()
        live = await queries.find_workload(session, service_id) if ids else None
    for deployment_id in ids:
        facts = await load_facts(resources, deployment_id)
        if facts.service.deleted_at is not None or (live is not None and live.id == facts.workload.id):
            await _cross_off(resources.db, deployment_id, *facts.deployment.former_owners)
            continue
        writer = LogWriter(resources.db, deployment_id, tuple(facts.secrets.values()))
        writer.step = "undo"
        work = StepContext(resources, deployment_id, writer, system_id=facts.system_id)
        try:
            await remove_own(work, facts)
            await restore_volumes(work, facts)
        finally:
            await writer.flush()


async def remove_own(work: StepContext, facts: DeploymentRows) -> None:
    """Remove every container that this deployment made."""
    await asyncio.gather(*(_remove(work, replica) for replica in await find_own(work, facts)))


async def _remove(work: StepContext, replica: Replica) -> None:
    engine = await work.engine()
    with suppress(OrcaError):
        await engine.stop(replica, grace=2)
    await remove_replica(work.resources, work.system_id, replica)


async def find_undo_seconds(db: Database, deployment_id: str) -> float:
    """Return how long the undo may take: volumes are restored one after the other."""
    async with db.read() as session:
        deployment = await session.get_one(Deployment, deployment_id)
    return UNDO_SECONDS + CHOWN_SECONDS * len(deployment.former_owners)


async def restore_volumes(work: StepContext, facts: DeploymentRows) -> None:
    """Restore the owners that the volumes had when this deployment began. Safe to repeat.

    Raises ProviderUnavailable when it should be tried again; any other failure is added as a warning.
    """
    engine = await work.engine()
    if not isinstance(engine, SupportsVolumeOwners):
        return
    for mount in workload_of(facts, work.resources).mounts:
        if mount.volume in facts.deployment.former_owners:
            async with turn_of(work.resources, mount.volume):
                await _restore(work, facts, engine, mount)
            await _cross_off(work.resources.db, work.deployment_id, mount.volume)


async def _restore(work: StepContext, facts: DeploymentRows, engine: SupportsVolumeOwners, mount: Mount) -> None:
    owner = _read_owner(facts, mount)
    name = owner.contents or owner.folder
    try:
        async with work.resources.db.read() as session:
            await check_volumes(session, facts.service, {mount.path: mount.volume})
    except Conflict as error:
        await work.log.write(f"Not given back to {name}: {error.message}.")
        return
    owning = owner_workload(work, facts, mount, "back")
    try:
        await engine.restore_owner(owning, owner, deadline=CHOWN_SECONDS, progress=work.log.write)
    except ProviderUnavailable:
        raise
    except OrcaError as error:
        problem = f"The volume at {mount.path} could not be given back to {name}: {error.message}"
        await add_warning(work.resources.db, work.deployment_id, join(problem, error.hint))
    else:
        await work.log.write(f"The volume at {mount.path} belongs to {name} again.")


def _read_owner(facts: DeploymentRows, mount: Mount) -> VolumeOwner:
    """Return the stored owner; without an owner of the contents when this deployment did not change them."""
    former = facts.deployment.former_owners[mount.volume]
    contents = former["contents"] if former.get("changed") else ""
    return VolumeOwner(former["folder"], former["mode"], contents)


async def _cross_off(db: Database, deployment_id: str, *volumes: str) -> None:
    async with db.write() as session:
        deployment = await session.get_one(Deployment, deployment_id)
        left = {name: former for name, former in deployment.former_owners.items() if name not in volumes}
        deployment.former_owners = left


def owner_workload(work: StepContext, facts: DeploymentRows, mount: Mount, purpose: str) -> Workload:
    """Return a workload that mounts only this volume."""
    name = f"{mount.volume}-{facts.deployment.id}-{purpose}"
    command = tuple(facts.config.command)
    return replace(
        run_of(facts, work.resources, name, role="owner", command=command), mounts=(mount,), env={}, files=()
    )
