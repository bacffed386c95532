"""Background doors: the task that deploys, the duties that keep what is live alive, and news from below."""

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import OrcaError, StepFailed
from orca.events import Fact, subscribe
from orca.features.deployments import rules
from orca.features.deployments.actions import progress
from orca.features.deployments.actions.keep import keep_services_alive, remove_old_images
from orca.features.deployments.actions.start import TASK, Request, start_deployment
from orca.features.deployments.models import Deployment, LiveRelease
from orca.features.deployments.pipeline import deploy
from orca.features.services.queries import find_service
from orca.resources import Resources
from orca.sdk.engines import Container, EngineAway
from orca.tasks import Periodic, TaskDefinition

log = structlog.get_logger("orca.deployments")
ORPHAN_GRACE = timedelta(seconds=60)


async def settle(resources: Resources, task_id: str, reason: str) -> None:
    """Give a deployment an end whose task can never finish."""
    async with resources.db.read() as session:
        deployment_id = await session.scalar(select(Deployment.id).where(Deployment.task_id == task_id))
    if deployment_id is not None:
        await progress.fail(resources.db, deployment_id, StepFailed(reason, hint="Deploy again."))


async def sweep(resources: Resources) -> None:
    """Remove containers and work folders of nothing that lives: leftovers of crashes, stopped and deleted services."""
    folders = await asyncio.to_thread(_list_work, resources.settings.data_dir / "work")
    containers = await resources.engine.inspect({"orca.instance": resources.instance, "orca.deployment": ""})
    async with resources.db.read() as session:
        stopped = select(Deployment.service_id).where(
            Deployment.service_id == LiveRelease.service_id, Deployment.kind == "stop",
            Deployment.state == "succeeded", Deployment.finished_at > LiveRelease.since,
        )  # fmt: skip
        live = set((await session.scalars(select(LiveRelease.deployment_id).where(~stopped.exists()))).all())
        busy = select(Deployment.id).where(Deployment.state.in_(rules.ACTIVE))
        recent = select(Deployment.id).where(Deployment.finished_at > now() - ORPHAN_GRACE)
        kept = live | set((await session.scalars(busy.union(recent))).all())
    for folder in folders:
        if folder.name not in kept:
            log.warning("orphan_removed", folder=folder.name)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    for container in containers:
        if not _is_kept(container, kept):
            await _remove_orphan(resources, container)


def _list_work(work: Path) -> list[Path]:
    return list(work.iterdir()) if work.is_dir() else []


async def _remove_orphan(resources: Resources, container: Container) -> None:
    """One that cannot be removed must not keep the others, and what should run, from their turn."""
    log.warning("orphan_removed", container=container.name)
    try:
        await resources.engine.stop(container.id, grace=10)
        await resources.engine.remove(container.id)
    except EngineAway:
        raise
    except OrcaError as error:
        log.warning("orphan_stays", container=container.name, reason=error.message)


def _is_kept(container: Container, kept: set[str]) -> bool:
    """A one-off command may run until its own deadline; everything else lives with its deployment."""
    if container.labels.get("orca.role") == "run":
        return container.state == "running" and float(container.labels["orca.until"]) > now().timestamp()
    return container.labels["orca.deployment"] in kept


async def keep_alive(resources: Resources) -> None:
    """Sweep, then bring back what should run and does not."""
    try:
        await sweep(resources)
        await keep_services_alive(resources)
    except OrcaError as error:
        log.warning("observation_failed", reason=error.message)


async def _on_push(session: AsyncSession, fact: Fact) -> None:
    resources = _resources_of(session)
    service = await find_service(session, str(fact.object_id))
    if service is not None and service.deleted_at is None:
        request = Request(trigger="push", source={"commit": fact.payload["commit"], "branch": None, "tag": None})
        await start_deployment(session, resources, service, request)


async def _on_service_deleted(session: AsyncSession, fact: Fact) -> None:
    service = await find_service(session, str(fact.object_id))
    if service is not None:
        await start_deployment(session, _resources_of(session), service, Request(kind="remove", trigger="system"))


def _resources_of(session: AsyncSession) -> Resources:
    resources: Resources = session.info["resources"]
    return resources


subscribe("PushAccepted", _on_push)
subscribe("ServiceDeleted", _on_service_deleted)

TASKS = (TaskDefinition(TASK, run=deploy, settle=settle),)
PERIODIC = (
    Periodic("keep-alive", 30, keep_alive),
    Periodic("old-images", 600, remove_old_images),
)
