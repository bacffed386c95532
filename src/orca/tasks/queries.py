"""Read-only queries about tasks, for people and for probes."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.kit.amounts import counted
from orca.kit.clock import format_instant
from orca.resources import on_system
from orca.systems import System
from orca.tasks.lanes import ANYTHING
from orca.tasks.rows import FINISHED, Task, Worker

_UNFINISHED = ("queued", "running")
_SYSTEM = on_system("")


@dataclass(frozen=True, slots=True)
class Kind:
    """Counts of the unfinished tasks of one name."""

    name: str
    queued: int
    running: int
    oldest_queued_at: datetime | None

    @property
    def queue_age(self) -> timedelta:
        """How long the task that has waited longest has waited."""
        return now() - self.oldest_queued_at if self.oldest_queued_at else timedelta(0)


async def list_kinds(session: AsyncSession) -> list[Kind]:
    """Return the unfinished tasks by name, for metrics: one query over an index."""
    query = select(Task.name, Task.state, func.count(), func.min(Task.created_at)).where(Task.state.in_(_UNFINISHED))
    found: dict[str, dict[str, tuple[int, datetime]]] = {}
    for name, state, number, since in await session.execute(query.group_by(Task.name, Task.state)):
        found.setdefault(name, {})[state] = (number, since)
    return [
        Kind(name, states.get("queued", (0, None))[0], states.get("running", (0, None))[0],
             states.get("queued", (0, None))[1])
        for name, states in sorted(found.items())
    ]  # fmt: skip


async def explain_waiting(session: AsyncSession, task_ids: Collection[str]) -> Mapping[str, str]:
    """Return by id why each of these tasks does not run; those that run or have ended are left out."""
    waiting = select(Task).where(Task.id.in_(task_ids), Task.state.not_in(FINISHED))
    tasks = [task for task in await session.scalars(waiting) if task.state == "queued" or task.worker is None]
    workers = list(await session.scalars(select(Worker))) if tasks else []
    return {
        task.id: await _explain_by_workers(session, task.name, task.needs, workers)
        or await _explain_by_tasks(session, task)
        for task in tasks
    }


async def list_stranded(session: AsyncSession) -> dict[str, int]:
    """Return why there are queued tasks that no worker would claim, with the number of each."""
    workers = list(await session.scalars(select(Worker)))
    query = select(Task.name, Task.needs, func.count()).where(Task.state == "queued").group_by(Task.name, Task.needs)
    found: Counter[str] = Counter()
    for name, needs, number in await session.execute(query):
        if reason := await _explain_by_workers(session, name, needs, workers):
            found[reason] += number
    return found


async def _explain_by_workers(
    session: AsyncSession, name: str, needs: str | None, workers: Collection[Worker]
) -> str:  # fmt: skip
    """Return why no worker would claim a task; empty when one would."""
    if not workers:
        return "No worker runs: start `orc serve` or `orc worker`."
    knowing = [worker for worker in workers if name in worker.knows]
    if not knowing:
        return f"No worker that runs knows “{name}”: it waits for one of the version that queued it."
    if needs is None or any({needs, ANYTHING} & {*worker.offers} for worker in knowing):
        return ""
    system = await session.get(System, needs.removeprefix(_SYSTEM))
    what = f"works on the system “{system.name}”" if needs.startswith(_SYSTEM) and system else "can do this"
    return f"No worker that runs {what}: it waits for one that offers “{needs}” (ORC_WORKER_OFFERS)."


async def _explain_by_tasks(session: AsyncSession, task: Task) -> str:
    """Return for what other tasks, or for what instant, a task waits."""
    if task.cancel_reason is not None:
        return "It is cancelled: what it began is about to be undone."
    if task.state == "running" and task.recoveries:
        return "Orca's process died while it ran; others that ran then are tried first, one after another."
    if task.not_before is not None and task.not_before > now():
        return f"{task.because or 'It was asked for later.'} It goes on at {format_instant(task.not_before)}.".strip()
    if task.state == "queued" and task.epoch == 0 and await _is_target_busy(session, task):
        return "An earlier task of the same target is at work."
    return f"{task.because or ''} {await _explain_line(session, task)}".strip()


async def _is_target_busy(session: AsyncSession, task: Task) -> bool:
    others = select(Task.id).where(Task.target == task.target, Task.state.in_(_UNFINISHED), Task.id != task.id)
    before = or_(Task.state == "running", Task.epoch > 0, Task.seq < task.seq)
    return await session.scalar(others.where(before).limit(1)) is not None


async def _explain_line(session: AsyncSession, task: Task) -> str:
    of_lane = select(func.count()).where(Task.lane == task.lane)
    running = await session.scalar(of_lane.where(Task.state == "running", Task.worker.is_not(None)))
    is_before = or_(Task.priority < task.priority, and_(Task.priority == task.priority, Task.seq < task.seq))
    before = await session.scalar(of_lane.where(Task.state == "queued", is_before)) or 0
    if not running and not before:
        return "It is about to start."
    ahead = f"{counted(before, 'task')} before it in line" if before else "it is the next one"
    return f"Lane “{task.lane}”: {running or 0} at work; {ahead}."
