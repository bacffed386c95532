"""Durable tasks: every finished step is remembered, and what a crash interrupts goes on after it.

A task is one row in the database of its own installation: queued in the caller's transaction, claimed by one worker,
one running per target. Decision and facts: docs/adr/0005-durable-tasks-on-orcas-own-tables.md.
"""

from orca.tasks.engine import TASKS_AT_ONCE, Periodic, TaskDefinition, TaskEngine
from orca.tasks.rows import Task, TaskStep
from orca.tasks.run import TaskRun

__all__ = ["TASKS_AT_ONCE", "Periodic", "Task", "TaskDefinition", "TaskEngine", "TaskRun", "TaskStep"]
