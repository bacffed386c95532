"""Background doors: the task that destroys a volume after a user confirmed it."""

from collections.abc import Mapping
from typing import Any

from orca.errors import OrcaError
from orca.features.services.actions import finish_destruction
from orca.features.services.actions.volumes import DESTROY_VOLUME
from orca.features.services.models import Volume
from orca.kit.text import join
from orca.resources import Resources
from orca.tasks import Task, TaskDefinition, TaskRun

_SECONDS = 120.0


async def destroy_volume(run: TaskRun, payload: Mapping[str, Any]) -> None:
    """Remove the volume from the engine, then delete its row. Both can be repeated; a failure is recorded."""
    volume_id = str(payload["volume_id"])
    resources = run.resources
    try:
        await run.step("remove", lambda: _remove(resources, volume_id), deadline=_SECONDS, cancellable=False)
    except OrcaError as error:
        reason = join(error.message, error.hint)
        await run.step("tell", lambda: _finish(resources, volume_id, reason), deadline=_SECONDS, cancellable=False)
        raise
    await run.step("forget", lambda: _finish(resources, volume_id, None), deadline=_SECONDS, cancellable=False)


async def _remove(resources: Resources, volume_id: str) -> None:
    async with resources.db.read() as session:
        volume = await session.get(Volume, volume_id)
    if volume is not None:
        host = await resources.systems.containers(volume.system_id)
        await host.remove_volume(volume.engine_name)


async def _finish(resources: Resources, volume_id: str, failure: str | None) -> None:
    async with resources.db.write() as session:
        await finish_destruction(session, volume_id, failure)


async def settle(resources: Resources, task_id: str, reason: str) -> None:
    """Record the failure when the task can never finish: the volume stays, and its destruction can be retried."""
    async with resources.db.write() as session:
        task = await session.get_one(Task, task_id)
        await finish_destruction(session, task.target, reason)


TASKS = (TaskDefinition(DESTROY_VOLUME, run=destroy_volume, settle=settle, lane="maintenance"),)
