"""Background doors: the task that asks a repository about a push, and the cleanup of old pushes."""

import asyncio
import shutil
from collections.abc import Mapping
from typing import Any

from orca.db import now
from orca.db.batches import delete_in_batches
from orca.errors import OrcaError
from orca.events import origin
from orca.features.services.queries import find_git_source
from orca.features.sources.actions import look_folder
from orca.features.sources.steps.compare_commits import list_changed
from orca.features.sources.steps.fetch_git import prepare_checkout
from orca.features.triggers.actions import find_push_origin
from orca.features.triggers.actions.pushes import KEEP_PUSHES, LOOK_AT_PUSH, settle_look
from orca.features.triggers.models import Hook, Push
from orca.features.triggers.rules import is_watched
from orca.kit.ids import new_id
from orca.kit.threads import run_in_thread
from orca.resources import Resources
from orca.sdk.archives import ArchiveLimits
from orca.systems import LOCAL
from orca.tasks import Periodic, Task, TaskDefinition, TaskRun
from orca.web.guard import Scope

_SECONDS = 60.0
_LIMITS = ArchiveLimits(total_bytes=256 << 20, entries=1_000_000)


async def look_at_push(run: TaskRun, payload: Mapping[str, Any]) -> None:
    """Read from the repository which files a push changed; deploy the push if a watched file is among them."""
    push_id, resources = str(payload["push_id"]), run.resources
    try:
        touched = await run.step("compare", lambda: _compare(resources, push_id), deadline=2 * _SECONDS)
    except OrcaError:
        touched = None  # the deployment will report the problem
    await run.step("decide", lambda: _decide(resources, push_id, touched), deadline=_SECONDS, cancellable=False)


async def _compare(resources: Resources, push_id: str) -> bool | None:
    """Whether a watched file changed; None when that cannot be read from the repository."""
    async with resources.db.read() as session:
        push = await session.get(Push, push_id)
        hook = await session.get(Hook, push.hook_id) if push else None
        source = await find_git_source(session, hook.service_id) if hook else None
    if push is None or hook is None or source is None:
        return None
    folder = look_folder(resources.settings) / new_id()
    await run_in_thread(folder.mkdir, mode=0o700, parents=True)
    try:
        into, scope = folder / "tree", Scope(hook.team_id)
        request = await prepare_checkout(resources, scope, source, into, limits=_LIMITS, deadline=_SECONDS)
        connector = await resources.systems.connector(LOCAL)
        changed = await list_changed(connector, request, str(push.payload["before"]), push.commit)
        return None if changed is None else await asyncio.to_thread(is_watched, changed, hook.watch_paths)
    except TimeoutError:
        return None
    finally:
        await run_in_thread(shutil.rmtree, folder, ignore_errors=True)


async def _decide(resources: Resources, push_id: str, touched: bool | None) -> None:
    async with resources.db.write() as session:
        push = await session.get(Push, push_id)
        hook = await session.get(Hook, push.hook_id) if push else None
        if hook is None:
            return
        come_from = origin.set(await find_push_origin(session, hook))
        try:
            await settle_look(session, resources, push_id, is_watched=touched)
        finally:
            origin.reset(come_from)


async def settle(resources: Resources, task_id: str, _reason: str) -> None:
    """Accept the push when the task can never finish: an unneeded deployment is better than a missing one."""
    async with resources.db.read() as session:
        task = await session.get_one(Task, task_id)
    await _decide(resources, str(task.payload["push_id"]), None)


async def forget_pushes(resources: Resources) -> None:
    """Delete old pushes, including those of hooks at which nothing arrives any more."""
    await delete_in_batches(resources.db, Push, Push.received_at < now() - KEEP_PUSHES)


TASKS = (TaskDefinition(LOOK_AT_PUSH, run=look_at_push, settle=settle),)
PERIODIC = (Periodic("old-pushes", 3600, forget_pushes),)
