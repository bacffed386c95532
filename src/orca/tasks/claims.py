"""Who runs which task: claimed by one worker, let go when it stops, taken over when it dies."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.tasks.rows import Task, Worker

_WAITS = and_(Task.state == "running", Task.worker.is_(None))
"""Begun, and left by the worker that had it."""


def _is_for(names: Collection[str]) -> ColumnElement[bool]:
    """A worker leaves alone what it does not know: a newer one does."""
    return Task.name.in_(names)


async def is_any_waiting(session: AsyncSession, names: Collection[str]) -> bool:
    """Asked first, so that looking costs no write transaction."""
    waiting = select(Task.id).where(or_(Task.state == "queued", _WAITS), _is_for(names)).limit(1)
    return await session.scalar(waiting) is not None


async def claim(session: AsyncSession, worker: str, names: Collection[str], room: int) -> Sequence[Task]:
    """Take the oldest queued task of each target where none runs."""
    busy = select(Task.target).where(Task.state == "running")
    first = select(func.min(Task.id)).where(Task.state == "queued", Task.target.not_in(busy)).group_by(Task.target)
    waiting = select(Task).where(Task.state == "queued", Task.id.in_(first), _is_for(names))
    tasks = await session.scalars(waiting.order_by(Task.id).limit(room).with_for_update(skip_locked=True))
    return [_take(task, worker) for task in tasks]


async def resume(session: AsyncSession, worker: str, names: Collection[str], *, suspect: bool) -> Sequence[Task]:
    """Take those that others left: all that were not at work when a process died, and one (`suspect`) that was.

    When the process dies once more, that one is to blame.
    """
    waiting = select(Task).where(_WAITS, _is_for(names)).order_by(Task.recoveries, Task.id)
    tasks = (await session.scalars(waiting.with_for_update(skip_locked=True))).all()
    clean = [task for task in tasks if not task.recoveries]
    suspects = [task for task in tasks if task.recoveries][: int(suspect)]
    return [_take(task, worker) for task in (*clean, *suspects)]


def _take(task: Task, worker: str) -> Task:
    task.state, task.worker, task.started_at = "running", worker, task.started_at or now()
    task.epoch += 1
    return task


async def release_lost(session: AsyncSession, worker: str, running: Collection[str]) -> Sequence[str]:
    """Free running tasks that no worker works on: theirs died, or this one lost them on the way here."""
    mine = and_(Task.worker == worker, Task.id.not_in(running))
    dead = and_(Task.worker != worker, Task.worker.not_in(select(Worker.id)))
    lost = select(Task).where(Task.state == "running", or_(mine, dead)).with_for_update(skip_locked=True)
    tasks = (await session.scalars(lost)).all()
    for task in tasks:
        task.recoveries += int(task.worker != worker)
        task.worker = None
    return [task.id for task in tasks]


async def release_all(session: AsyncSession, worker: str) -> None:
    """Leave its tasks to others, who need not wait for its death, nor blame them for it."""
    await session.execute(update(Task).where(Task.state == "running", Task.worker == worker).values(worker=None))
