"""What people and probes may know of tasks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.tasks.rows import FINISHED, Task, Worker

_UNFINISHED = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Kind:
    """The unfinished tasks of one name."""

    name: str
    queued: int
    running: int
    oldest_queued_at: datetime | None

    @property
    def queue_age(self) -> timedelta:
        """How long the one that has waited longest has waited."""
        return now() - self.oldest_queued_at if self.oldest_queued_at else timedelta(0)


async def count_active(session: AsyncSession) -> int:
    """Tasks that wait or run."""
    return await session.scalar(select(func.count()).select_from(Task).where(Task.state.not_in(FINISHED))) or 0


async def list_kinds(session: AsyncSession) -> list[Kind]:
    """Unfinished tasks by name, for metrics: one query over an index."""
    counted = select(Task.name, Task.state, func.count(), func.min(Task.created_at)).where(Task.state.in_(_UNFINISHED))
    found: dict[str, dict[str, tuple[int, datetime]]] = {}
    for name, state, number, since in await session.execute(counted.group_by(Task.name, Task.state)):
        found.setdefault(name, {})[state] = (number, since)
    return [
        Kind(name, states.get("queued", (0, None))[0], states.get("running", (0, None))[0],
             states.get("queued", (0, None))[1])
        for name, states in sorted(found.items())
    ]  # fmt: skip


async def explain_waiting(session: AsyncSession, task_ids: Collection[str]) -> Mapping[str, str]:
    """Why each of these tasks does not run, by id; those that run or have ended are left out."""
    waiting = select(Task).where(Task.id.in_(task_ids), Task.state.not_in(FINISHED))
    tasks = [task for task in await session.scalars(waiting) if task.state == "queued" or task.worker is None]
    if not tasks:
        return {}
    first = select(Task.target, func.min(Task.id)).where(Task.state.in_(_UNFINISHED)).group_by(Task.target)
    ahead = {target: task_id for target, task_id in await session.execute(first)}  # noqa: C416 - rows are no pairs to mypy
    known = [set(knows) for knows in await session.scalars(select(Worker.knows))]
    return {task.id: _explain(task, ahead[task.target], known) for task in tasks}


def _explain(task: Task, first: str, known: list[set[str]]) -> str:
    if not known:
        return "No worker runs: start `orc serve` or `orc worker`."
    if not any(task.name in names for names in known):
        return f"No worker that runs knows “{task.name}”: it waits for one of the version that queued it."
    if task.state == "running":
        return "Orca's process died while it ran; others that ran then are tried first, one after another."
    if first != task.id:
        return "An earlier task of the same target is at work."
    return "It is about to start: the workers are busy, or have not looked yet."
