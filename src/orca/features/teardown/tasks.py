"""Background doors: the task that deletes a project with all in it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import StepFailed
from orca.events import Origin, origin
from orca.features.deployments.actions.start import DeploymentRequest, start_deployment
from orca.features.projects.models import Project
from orca.features.services.actions import delete_service, queue_destruction
from orca.features.services.models import Service, Volume
from orca.features.teardown.actions import TASK, Order, fail_deletion, finish_deletion
from orca.features.teardown.queries import count_removals, list_failed_removals, list_removing
from orca.kit.amounts import counted
from orca.resources import Resources
from orca.tasks import Task, TaskDefinition, TaskRun
from orca.web.guard import Scope

_SECONDS = 120.0
_LOOK_AGAIN = timedelta(seconds=2)
_LONGEST = timedelta(hours=6)
"""How long containers may take to go: no worker may ever offer the system on which they are."""
_ATTEMPTS, _PAUSE = 3, timedelta(seconds=30)
"""How often a removal is tried for one deletion, and the time between a failure and the next attempt."""
_HINT = "Look whether the engines of their systems can be reached. Ask for the deletion again then."


async def delete_project(run: TaskRun, payload: Mapping[str, Any]) -> None:
    """Delete the services, wait until their containers are gone, destroy volumes if that was asked for, end.

    It happens on behalf of the requester. After a crash it goes on: what is gone already is passed over.
    """
    order, resources = Order(**payload), run.resources
    granted = None if order.permissions is None else frozenset(order.permissions)
    token = origin.set(Origin(order.actor, order.via, permissions=granted))  # type: ignore[arg-type] # stored from one
    try:
        for service_id in order.services:
            work = partial(_delete_service, resources, order.team_id, service_id)
            await run.step(f"service {service_id}", work, deadline=_SECONDS, cancellable=False)
        if left := await _check_containers(resources, order):
            await run.sleep_until(
                now() + _LOOK_AGAIN, f"The containers of {counted(left, 'service')} are being removed."
            )
        await run.step("volumes", partial(_queue_volumes, resources, order), deadline=_SECONDS, cancellable=False)
        if order.volumes and await _check_volumes(resources, order):
            await run.sleep_until(now() + _LOOK_AGAIN, "Its volumes are being destroyed.")
        work = partial(_finish, resources, order)
        await run.step("finish", work, deadline=_SECONDS, cancellable=False)
    finally:
        origin.reset(token)


async def _delete_service(resources: Resources, team_id: str, service_id: str) -> None:
    async with resources.db.write() as session:
        service = await session.get(Service, service_id)
        if service is not None and service.deleted_at is None:
            await delete_service(session, Scope(team_id), service_id, service.slug)


async def _check_containers(resources: Resources, order: Order) -> int:
    """Count the services whose containers are to be removed, and try failed removals again.

    Raises StepFailed when that takes too long, or has failed too often.
    """
    async with resources.db.read() as session:
        project = await session.get(Project, order.project_id)
        left = await list_removing(session, order.project_id)
        failed = await list_failed_removals(session, order.project_id)
    since = (project and project.deleting_since) or now()
    if left and now() - since > _LONGEST:
        names = ", ".join(left)
        raise StepFailed(f"the containers of these services could not be removed in time: {names}", hint=_HINT)
    if failed:
        async with resources.db.write() as session:
            await _repeat_removals(session, resources, order.project_id, since)
    return len(left)


async def _repeat_removals(session: AsyncSession, resources: Resources, project_id: str, since: datetime) -> None:
    for failed in await list_failed_removals(session, project_id):
        service = await session.get_one(Service, failed.service_id)
        if await count_removals(session, service.id, since) >= _ATTEMPTS:
            raise StepFailed(f"the containers of {service.name} could not be removed: {failed.reason}", hint=_HINT)
        is_earlier = failed.created_at < since  # than this deletion
        if is_earlier or (failed.finished_at or since) < now() - _PAUSE:
            await start_deployment(session, resources, service, DeploymentRequest(kind="remove", trigger="system"))


async def _queue_volumes(resources: Resources, order: Order) -> None:
    async with resources.db.write() as session:
        for volume in await session.scalars(select(Volume).where(Volume.id.in_(order.volumes))):
            await queue_destruction(session, resources.tasks, volume)


async def _check_volumes(resources: Resources, order: Order) -> bool:
    """Whether volumes are still being destroyed. Raises StepFailed for those of which that failed."""
    async with resources.db.read() as session:
        left = (await session.scalars(select(Volume).where(Volume.id.in_(order.volumes)))).all()
    if failed := [volume.name for volume in left if volume.destroying_since is None]:
        names = ", ".join(sorted(failed))
        hint = "The activity page says why at “Volume destruction failed”. Ask for the deletion again then."
        raise StepFailed(f"these volumes could not be destroyed: {names}", hint=hint)
    return bool(left)


async def _finish(resources: Resources, order: Order) -> None:
    async with resources.db.write() as session:
        await finish_deletion(session, Scope(order.team_id), order.project_id)


async def settle(resources: Resources, task_id: str, reason: str) -> None:
    """Record why it ended before the project was gone."""
    async with resources.db.write() as session:
        task = await session.get_one(Task, task_id)
        await fail_deletion(session, task.target, reason)


TASKS = (TaskDefinition(TASK, run=delete_project, settle=settle, lane="maintenance"),)
