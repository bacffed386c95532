"""Background doors: the task that deploys, the duties that keep what is live alive, and news from below."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
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
from orca.features.deployments.queries import list_unknown
from orca.features.services.models import Service
from orca.features.services.queries import find_service
from orca.features.sources.usage import upload_reader
from orca.resources import Resources
from orca.sdk.engines import Container
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
    """Remove containers and work folders of nothing that lives: leftovers of crashes, stopped and deleted services.

    What this database does not know stays: it may be the database that is wrong.
    """
    folders = await asyncio.to_thread(_list_work, resources.settings.data_dir / "work")
    containers = await resources.engine.inspect({"orca.instance": resources.instance, "orca.deployment": ""})
    async with resources.db.read() as session:
        kept, leaving = await _list_kept(session), await _list_leaving(session)
        unknown = await list_unknown(session, containers)
    for folder in folders:
        if folder.name not in kept:
            log.warning("orphan_removed", folder=folder.name)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    orphans = [container for container in containers if not _is_kept(container, kept | unknown, leaving)]
    await asyncio.gather(*(_remove_orphan(resources, container) for container in orphans))


def _list_work(work: Path) -> list[Path]:
    return list(work.iterdir()) if work.is_dir() else []


async def _list_kept(session: AsyncSession) -> set[str]:
    """Deployments whose containers stay: live ones, running and just ended ones, and what those can go back to.

    Once traffic has moved, the previous deployment still serves until the proxy has answered and requests have drained.
    """
    live = select(LiveRelease.deployment_id).join(Service, Service.id == LiveRelease.service_id)
    wanted = live.where(Service.desired_state == "running", Service.deleted_at.is_(None))
    is_active = Deployment.state.in_(rules.ACTIVE)
    at_work = select(Deployment.id).where(is_active | (Deployment.finished_at > now() - ORPHAN_GRACE))
    previous = select(Deployment.previous_deployment_id).where(
        is_active, Deployment.previous_deployment_id.is_not(None)
    )
    return set((await session.scalars(wanted.union(at_work, previous))).all())


async def _list_leaving(session: AsyncSession) -> set[str]:
    """Services that are being stopped or removed: that takes their containers down itself, with the grace they have."""
    is_active = Deployment.state.in_(rules.ACTIVE)
    query = select(Deployment.service_id).where(is_active, Deployment.kind.in_(rules.TAKES_DOWN))
    return set((await session.scalars(query)).all())


async def _remove_orphan(resources: Resources, container: Container) -> None:
    """One that cannot be removed must not keep the others from their turn."""
    log.warning("orphan_removed", container=container.name)
    try:
        await resources.engine.stop(container.id, grace=float(container.labels.get("orca.stop-grace", "10")))
        await resources.engine.remove(container.id)
    except OrcaError as error:
        log.warning("orphan_stays", container=container.name, reason=error.message)


def _is_kept(container: Container, kept: set[str], leaving: set[str]) -> bool:
    """A one-off command may run until its own deadline; everything else lives with its deployment."""
    if container.labels.get("orca.role") == "run":
        return container.state == "running" and float(container.labels["orca.until"]) > now().timestamp()
    return container.labels["orca.deployment"] in kept or container.labels.get("orca.service") in leaving


def _observing(duty: Callable[[Resources], Awaitable[None]]) -> Callable[[Resources], Awaitable[None]]:
    """A duty that looks at the engine: when it cannot, it says so in one line, and looks again later."""

    async def run(resources: Resources) -> None:
        try:
            await duty(resources)
        except OrcaError as error:
            log.warning("observation_failed", reason=error.message)

    return run


async def _on_push(session: AsyncSession, fact: Fact) -> None:
    resources = _resources_of(session)
    service = await find_service(session, str(fact.object_id))
    if service is not None and service.deleted_at is None:
        request = Request(trigger="push", source={"commit": fact.payload["commit"], "branch": None, "tag": None})
        await start_deployment(session, resources, service, request)


async def _on_service_deleted(session: AsyncSession, fact: Fact) -> None:
    service = await find_service(session, str(fact.object_id))
    if service is not None:
        resources = _resources_of(session)
        await _cancel_running(session, resources, service.id)
        await start_deployment(session, resources, service, Request(kind="remove", trigger="system"))


async def _cancel_running(session: AsyncSession, resources: Resources, service_id: str) -> None:
    """Removing waits for what runs, and nothing of a deleted service should go live meanwhile."""
    running = select(Deployment.task_id).where(Deployment.service_id == service_id, Deployment.state == "running")
    for task_id in (await session.scalars(running.where(Deployment.kind.not_in(rules.TAKES_DOWN)))).all():
        if task_id is not None:
            await resources.tasks.cancel(session, task_id, "the service was deleted")


@upload_reader
async def _list_needed_uploads(session: AsyncSession, service_id: str) -> set[str]:
    """What waiting and running deployments were asked to deploy, and what the next one would."""
    active = select(Deployment.source).where(Deployment.service_id == service_id, Deployment.state.in_(rules.ACTIVE))
    stored = select(Service.source).where(Service.id == service_id)
    sources = [*await session.scalars(active), *await session.scalars(stored)]
    return {str(source["upload_id"]) for source in sources if source.get("upload_id")}


def _resources_of(session: AsyncSession) -> Resources:
    resources: Resources = session.info["resources"]
    return resources


subscribe("PushAccepted", _on_push)
subscribe("ServiceDeleted", _on_service_deleted)

TASKS = (TaskDefinition(TASK, run=deploy, settle=settle),)
PERIODIC = (
    Periodic("sweep", 30, _observing(sweep)),
    Periodic("keep-alive", 30, _observing(keep_services_alive)),
    Periodic("old-images", 600, remove_old_images),
)
