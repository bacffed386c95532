"""Durable tasks: every finished step is stored, and a task that a crash interrupts is resumed after it.

A task is one row in the database of its installation: queued in the caller's transaction, claimed by one worker,
one running per target. Decision and facts: docs/adr/0005-durable-tasks-on-orcas-own-tables.md.
"""

from orca.tasks.engine import Periodic, TaskDefinition, TaskEngine
from orca.tasks.rows import Task, TaskStep
from orca.tasks.run import TaskRun

__all__ = ["Periodic", "Task", "TaskDefinition", "TaskEngine", "TaskRun", "TaskStep"]
