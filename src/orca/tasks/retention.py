"""Deletes old tasks; their results are in the rows of features and in the events."""

from datetime import timedelta

import structlog

from orca.db import now
from orca.db.batches import delete_in_batches
from orca.resources import Resources
from orca.tasks.engine import Periodic
from orca.tasks.rows import FINISHED, Task

log = structlog.get_logger("orca.tasks")


async def forget_finished(resources: Resources) -> None:
    """Delete tasks that ended more than ORC_KEEP_TASK_DAYS ago."""
    before = now() - timedelta(days=resources.settings.keep.task_days)
    forgotten = await delete_in_batches(resources.db, Task, Task.state.in_(FINISHED), Task.finished_at < before)
    if forgotten:
        log.info("tasks_forgotten", tasks=forgotten)


PERIODIC = (Periodic("finished-tasks", 3600, forget_finished),)
