"""The tables of the task engine."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Row, unique_where

FINISHED = ("succeeded", "failed", "cancelled")


class Task(Row, Base):
    """One durable operation. `state` is queued, running, succeeded, failed or cancelled."""

    __tablename__ = "tasks"

    name: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(64), index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    worker: Mapped[str | None] = mapped_column(String(36))
    """Who runs it; None while it waits for the next one, who goes on with it."""
    epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    """Counts the workers that it had. Who has an older number has lost it."""
    recoveries: Mapped[int] = mapped_column(default=0)
    """Deaths of its process since it last finished a step."""
    reason: Mapped[str | None] = mapped_column(Text)
    cancel_reason: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


unique_where(Task, "uq_tasks_running_target", "target", "state = 'running'")


class TaskStep(Base):
    """What a finished step gave back or raised; gone when its task ends."""

    __tablename__ = "task_steps"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    outcome: Mapped[dict[str, Any]] = mapped_column(JSON)


class Worker(Base):
    """A process that runs tasks; with PostgreSQL its row is its heartbeat."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    version: Mapped[str] = mapped_column(String(32), default="", server_default="")
    knows: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    """The kinds of tasks that it can run."""
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class Lease(Base):
    """Which process does a periodic duty now; it expires by itself."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(36))
    until: Mapped[datetime]
