"""Background doors: the task that deploys, the periodic jobs that keep live releases running, and event subscribers."""

import asyncio
import math
import shutil
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import OrcaError, StepFailed
from orca.events import Fact
from orca.features.deployments import rules
from orca.features.deployments.actions.start import TASK, DeploymentRequest, start_deployment
from orca.features.deployments.models import Deployment
from orca.features.deployments.next_steps import AGAIN
from orca.features.deployments.operations import progress
from orca.features.deployments.operations.cache import trim_build_cache
from orca.features.deployments.operations.forget import forget_past
from orca.features.deployments.operations.prune_images import remove_old_images
from orca.features.deployments.operations.reconcile import reconcile_services
from orca.features.deployments.pipeline import LANE, deploy
from orca.features.deployments.queries import list_offered_releases, list_unknown, list_workloads, owes_volumes
from orca.features.deployments.steps.give_back import give_back_volumes
from orca.features.deployments.steps.last_words import remove_replica
from orca.features.services.models import Service
from orca.features.services.queries import find_service
from orca.kit.threads import run_in_thread
from orca.resources import Resources
from orca.sdk.workloads import Replica
from orca.tasks import Periodic, TaskDefinition

log = structlog.get_logger("orca.deployments")
ORPHAN_GRACE = timedelta(seconds=60)


async def settle(resources: Resources, task_id: str, reason: str) -> None:
    """Mark a deployment as failed when its task can never finish."""
    async with resources.db.read() as session:
        deployment_id = await session.scalar(select(Deployment.id).where(Deployment.task_id == task_id))
    if deployment_id is not None:
        error = StepFailed(reason, hint="Deploy again.", next_steps=(AGAIN,))
        await progress.fail(resources.db, deployment_id, error)


async def sweep(resources: Resources) -> None:
    """Remove containers and work folders that are left from crashes, stopped services and deleted services.

    Containers that this database does not know stay: the database may be the one that is wrong.
    """
    folders = await asyncio.to_thread(_list_work, resources.settings.data_dir / "work")
    async with resources.db.read() as session:
        kept = await _list_kept(session)
    for folder in folders:
        if folder.name not in kept:
            log.warning("orphan_removed", folder=folder.name)
            await run_in_thread(shutil.rmtree, folder, ignore_errors=True)
    await resources.systems.on_each(partial(_sweep_system, resources))


async def _sweep_system(resources: Resources, system_id: str) -> None:
    engine = await resources.systems.engine(system_id)
    replicas = await engine.observe({"orca.instance": resources.instance, "orca.deployment": ""}, runs=True)
    async with resources.db.read() as session:
        kept, leaving = await _list_kept(session), await _list_leaving(session)
        unknown = await list_unknown(session, replicas)
    orphans = [
        replica
        for replica in replicas
        if rules.maker_of(replica) not in unknown and not _is_kept(replica, kept, leaving)
    ]
    await asyncio.gather(*(_remove_orphan(resources, system_id, replica) for replica in orphans))


def _list_work(work: Path) -> list[Path]:
    return list(work.iterdir()) if work.is_dir() else []


async def _list_kept(session: AsyncSession) -> dict[str, float]:
    """Map the workloads that stay to their number of replicas: live ones, and all that deployments work with.

    The latter belong to unfinished and just ended deployments, to those that still have volumes to restore, and to
    those that an unfinished one can go back to: once traffic has moved, the previous workload still serves until the
    proxy has answered and requests have drained.
    """
    live = await list_workloads(session, Service.desired_state == "running", Service.deleted_at.is_(None))
    kept: dict[str, float] = {workload.id: workload.replicas for workload in live.values()}
    is_active = Deployment.state.in_(rules.ACTIVE)
    at_work = is_active | (Deployment.finished_at > now() - ORPHAN_GRACE) | owes_volumes()
    previous = select(Deployment.previous_deployment_id).where(is_active)
    query = select(Deployment.id, Deployment.workload_id).where(at_work | Deployment.id.in_(previous))
    return kept | {image: math.inf for row in await session.execute(query) for image in row if image}


async def _list_leaving(session: AsyncSession) -> set[str]:
    """Return services being stopped or removed: that deployment stops their containers itself, with their grace."""
    is_active = Deployment.state.in_(rules.ACTIVE)
    query = select(Deployment.service_id).where(is_active, Deployment.kind.in_(rules.TAKES_DOWN))
    return set((await session.scalars(query)).all())


async def _remove_orphan(resources: Resources, system_id: str, replica: Replica) -> None:
    """Stop and remove a container; an error is only logged, so that the others are still removed."""
    log.warning("orphan_removed", replica=replica.name)
    try:
        await (await resources.systems.engine(system_id)).stop(replica)
        await remove_replica(resources, system_id, replica)
    except OrcaError as error:
        log.warning("orphan_stays", replica=replica.name, reason=error.message)


def _is_kept(replica: Replica, kept: Mapping[str, float], leaving: set[str]) -> bool:
    """Whether a container stays: a one-off command until its own deadline, any other as long as its workload."""
    if replica.labels.get("orca.role") == "run":
        return replica.state == "running" and float(replica.labels["orca.until"]) > now().timestamp()
    replicas = kept.get(replica.labels["orca.deployment"], 0)
    is_wanted = (replica.index or 0) < replicas
    return is_wanted or replica.labels.get("orca.service") in leaving


def _observing(job: Callable[[Resources], Awaitable[None]]) -> Callable[[Resources], Awaitable[None]]:
    """Wrap a periodic job that needs the engine: an error is logged in one line, and the next run tries again."""

    async def run(resources: Resources) -> None:
        try:
            await job(resources)
        except OrcaError as error:
            log.warning("observation_failed", reason=error.message)

    return run


async def on_service_deleted(session: AsyncSession, resources: Resources, fact: Fact) -> None:
    """Cancel the running deployments of a deleted service, and start the one that removes it."""
    service = await find_service(session, str(fact.object_id))
    if service is not None:
        await _cancel_running(session, resources, service.id)
        await start_deployment(session, resources, service, DeploymentRequest(kind="remove", trigger="system"))


async def _cancel_running(session: AsyncSession, resources: Resources, service_id: str) -> None:
    """Cancel running deployments: the removal waits for them, and a deleted service must not go live meanwhile."""
    running = select(Deployment.task_id).where(Deployment.service_id == service_id, Deployment.state == "running")
    for task_id in (await session.scalars(running.where(Deployment.kind.not_in(rules.TAKES_DOWN)))).all():
        if task_id is not None:
            await resources.tasks.cancel(session, task_id, "the service was deleted")


async def list_needed_uploads(session: AsyncSession, service_id: str) -> set[str]:
    """Return the uploads of unfinished deployments, of live and rollback releases, and of the next deployment."""
    offered = [release.build_id for release in await list_offered_releases(session, service_id)]
    wanted = Deployment.state.in_(rules.ACTIVE) | (Deployment.build_id.in_(offered) & (Deployment.kind == "deploy"))
    named = select(Deployment.source).where(Deployment.service_id == service_id, wanted)
    stored = select(Service.source).where(Service.id == service_id)
    sources = [*await session.scalars(named), *await session.scalars(stored)]
    return {str(source["upload_id"]) for source in sources if source.get("upload_id")}


TASKS = (TaskDefinition(TASK, run=deploy, settle=settle, lane=LANE),)
PERIODIC = (
    Periodic("sweep", 30, _observing(sweep)),
    Periodic("volumes", 30, _observing(give_back_volumes)),
    Periodic("keep-alive", 30, _observing(reconcile_services)),
    Periodic("old-images", 600, remove_old_images),
    Periodic("build-cache", 600, _observing(trim_build_cache)),
    Periodic("past", 3600, forget_past),
)
