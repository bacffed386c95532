"""The tables of the task engine."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Row, index_where, unique_where
from orca.db.sequences import numbered

FINISHED = ("succeeded", "failed", "cancelled")


class Task(Row, Base):
    """One durable operation. `state` is queued, running, succeeded, failed or cancelled.

    A queued task with an epoch has begun and gave its slot back: it still holds its target.
    """

    __tablename__ = "tasks"

    seq: Mapped[int] = numbered("tasks")
    name: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(64), index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    lane: Mapped[str] = mapped_column(String(16), default="run", server_default="run")
    """The lane in which it waits or runs; it may move to another one."""
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    """`INTERACTIVE`, `PUSHED` or `PERIODIC` of `orca.tasks.lanes`: lower ones run first."""
    team_id: Mapped[str] = mapped_column(String(36), default="", server_default="")
    """Empty: a task of the installation itself."""
    needs: Mapped[str | None] = mapped_column(String(64))
    """The label that a worker must offer to run it; None: any worker may."""
    not_before: Mapped[datetime | None]
    because: Mapped[str | None] = mapped_column(Text)
    """Why it gave its slot back; None while it runs."""
    worker: Mapped[str | None] = mapped_column(String(36))
    """The worker that runs it; None while it waits for the next worker to resume it."""
    epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    """Incremented by every claim. A worker with a lower number has lost the task."""
    recoveries: Mapped[int] = mapped_column(default=0)
    """How often its process died since the task last finished a step."""
    reason: Mapped[str | None] = mapped_column(Text)
    cancel_reason: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


unique_where(Task, "uq_tasks_held_target", "target", "state = 'running' OR (state = 'queued' AND epoch > 0)")
index_where(Task, "ix_tasks_in_line", "lane, priority, seq", "state = 'queued'")
index_where(Task, "ix_tasks_in_line_of_team", "lane, team_id, priority, seq", "state = 'queued'")
index_where(Task, "ix_tasks_in_line_of_target", "target, seq", "state = 'queued'")


class TaskStep(Base):
    """What a finished step returned or raised; deleted when its task ends."""

    __tablename__ = "task_steps"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    outcome: Mapped[dict[str, Any]] = mapped_column(JSON)


class Worker(Base):
    """A process that runs tasks; on PostgreSQL its row is its heartbeat."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    version: Mapped[str] = mapped_column(String(32), default="", server_default="")
    knows: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    """The kinds of tasks that it can run."""
    offers: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    """The labels that tasks may need."""
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class Lease(Base):
    """Which process runs a periodic job now; it expires by itself."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(36))
    until: Mapped[datetime]
