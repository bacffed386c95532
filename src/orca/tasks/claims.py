"""Ownership of tasks: a worker claims a task, releases it when it stops, and loses it to another when it dies."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Select, and_, exists, func, literal_column, or_, select, update
from sqlalchemy import Row as ResultRow
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from orca.db import now
from orca.tasks.lanes import ANYTHING, UNDO, Opening
from orca.tasks.rows import Task, Worker

# Literals, not parameters: with a parameter in their condition, partial indexes are not used.
_QUEUED: ColumnElement[str] = literal_column("'queued'")
_RUNNING: ColumnElement[str] = literal_column("'running'")
_NEVER: ColumnElement[int] = literal_column("0")
Candidate = ResultRow[str, str]
"""Id and team of a task that can be claimed."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """A worker, the kinds of tasks that it knows and the labels that it offers."""

    worker: str
    knows: Collection[str]
    offers: Collection[str] = ()
    """May hold `ANYTHING`."""


@dataclass(frozen=True, slots=True)
class Return:
    """How a task waits after it gave its slot back."""

    lane: str
    not_before: datetime | None
    because: str


_ANY_WAITING = select(
    or_(
        exists().where(Task.state == _QUEUED), exists().where(Task.state == _RUNNING, Task.worker.is_(None))
    )
)  # fmt: skip
"""Made once: to put the queries of all lanes together takes ten times as long as to find that nothing waits."""


async def is_any_waiting(session: AsyncSession) -> bool:
    """Whether there is a queued or released task at all; what an idle worker asks every few seconds."""
    return bool(await session.scalar(_ANY_WAITING))


async def list_lanes_to_claim(session: AsyncSession, claimant: Claimant, lanes: Sequence[str]) -> set[str]:
    """Return the lanes in which a task can be claimed. Checked first, so that polling needs no write transaction."""
    if not lanes:
        return set()
    waiting = [_find_claimable(claimant, lane, now()).exists() for lane in lanes]
    found = (await session.execute(select(*waiting))).one()
    return {lane for lane, is_waiting in zip(lanes, found, strict=True) if is_waiting}


async def is_any_released(session: AsyncSession, claimant: Claimant) -> bool:
    """Whether there is a task to resume."""
    released = select(Task.id).where(*_released(claimant)).limit(1)
    return await session.scalar(released) is not None


async def is_any_in_line(session: AsyncSession, claimant: Claimant, lane: str) -> bool:
    """Whether a task that this worker can run waits for a slot of a lane."""
    waiting = select(Task.id).where(Task.state == _QUEUED, Task.lane == lane, _is_due(Task, now()))
    return await session.scalar(waiting.where(_is_for(Task, claimant)).limit(1)) is not None


async def claim(session: AsyncSession, claimant: Claimant, opening: Opening) -> list[Task]:
    """Claim waiting tasks of one lane: the most urgent ones first, of those the oldest, one of each target.

    A team that has its share of the lane gets more only when no other team waits. `opening` is used up.
    """
    first = (await session.execute(_locked(_find_claimable(claimant, opening.lane, now()), opening.room))).all()
    within: list[Candidate] = []
    for task_id in first:
        if opening.is_within_share(task_id.team_id):
            opening.take(task_id.team_id)
            within.append(task_id)
    taken = await _start(session, within, claimant.worker)
    if len(within) == len(first):
        return taken
    while opening.room and (others := await _find_of_other_teams(session, claimant, opening)):
        for other in others:
            opening.take(other.team_id)
        taken += await _start(session, others, claimant.worker)
    rest = [task_id for task_id in first if task_id not in within][: opening.room]
    return taken + await _start(session, rest, claimant.worker)


async def resume(
    session: AsyncSession, claimant: Claimant, openings: Iterable[Opening], *, suspect: bool
) -> list[Task]:
    """Claim released tasks: all that were not running when a process died and, with `suspect`, one that was.

    If the process then dies again, that one task is the cause. What finds its lane full waits on.
    """
    by_lane, chosen, suspects = {free.lane: free for free in openings}, [], int(suspect)
    waiting = select(Task.id, Task.team_id, Task.lane, Task.recoveries).where(*_released(claimant))
    query = waiting.order_by(Task.recoveries, Task.seq).with_for_update(skip_locked=True)
    for row in await session.execute(query):
        opening = by_lane.get(row.lane)
        if opening is None or opening.room <= 0 or (row.recoveries and not suspects):
            continue
        suspects -= int(row.recoveries > 0)
        opening.take(row.team_id)
        chosen.append(row)
    return await _start(session, cast("list[Candidate]", chosen), claimant.worker)


async def put_back(session: AsyncSession, task_id: str, way: Return) -> bool:
    """Queue a running task again; it keeps its target. False when it was cancelled meanwhile."""
    running = update(Task).where(Task.id == task_id, Task.state == "running", Task.cancel_reason.is_(None))
    values = {"state": "queued", "worker": None, "lane": way.lane, "not_before": way.not_before}
    result = await session.execute(running.values(**values, because=way.because))
    return cast("CursorResult[Any]", result).rowcount == 1


async def cancel(session: AsyncSession, task_id: str, reason: str) -> None:
    """End a task that has not begun. One that has begun and does not run is to undo what it did, at once."""
    this = update(Task).where(Task.id == task_id)
    unfinished = this.where(Task.state.in_(("queued", "running")))
    await session.execute(unfinished.where(Task.cancel_reason.is_(None)).values(cancel_reason=reason))
    begun = or_(and_(Task.state == "queued", Task.epoch > 0), and_(Task.state == "running", Task.worker.is_(None)))
    await session.execute(this.where(begun).values(lane=UNDO, not_before=None))
    new = this.where(Task.state == "queued", Task.epoch == 0)
    await session.execute(new.values(state="cancelled", reason=reason, finished_at=now()))


async def release_lost(session: AsyncSession, worker: str, running: Collection[str]) -> Sequence[str]:
    """Release running tasks that no worker executes: their worker died, or this one claimed but never started them."""
    mine = and_(Task.worker == worker, Task.id.not_in(running))
    dead = and_(Task.worker != worker, Task.worker.not_in(select(Worker.id)))
    lost = select(Task).where(Task.state == "running", or_(mine, dead)).with_for_update(skip_locked=True)
    tasks = (await session.scalars(lost)).all()
    for task in tasks:
        task.recoveries += int(task.worker != worker)
        task.worker = None
    return [task.id for task in tasks]


async def release_all(session: AsyncSession, worker: str) -> None:
    """Release a worker's tasks, so that others resume them at once and do not count a death of the process."""
    await session.execute(update(Task).where(Task.state == "running", Task.worker == worker).values(worker=None))


def _is_for(task: type[Task], claimant: Claimant) -> ColumnElement[bool]:
    """Match the tasks that this worker can run: kinds that it does not know are for workers of a newer version."""
    is_known = task.name.in_(claimant.knows)
    if ANYTHING in claimant.offers:
        return is_known
    return and_(is_known, or_(task.needs.is_(None), task.needs.in_(claimant.offers)))


def _released(claimant: Claimant) -> tuple[ColumnElement[bool], ...]:
    """Match tasks that were started and then released by their worker."""
    return Task.state == _RUNNING, Task.worker.is_(None), _is_for(Task, claimant)


def _is_due(task: type[Task], instant: datetime) -> ColumnElement[bool]:
    return or_(task.not_before.is_(None), task.not_before <= instant)


def _claimable(task: type[Task], claimant: Claimant, lane: str, instant: datetime) -> tuple[ColumnElement[bool], ...]:
    """Match the tasks of a lane whose turn it is at their target.

    A task that has begun holds its target; any other waits for that one, and for earlier ones of the target.
    """
    holder, earlier = aliased(Task), aliased(Task)
    holds = or_(holder.state == _RUNNING, and_(holder.state == _QUEUED, holder.epoch > _NEVER))
    is_held = exists().where(holder.target == task.target, holds).correlate(task)
    is_later = exists().where(earlier.target == task.target, earlier.state == _QUEUED, earlier.seq < task.seq)
    is_first = and_(~is_held, ~is_later.correlate(task))
    return (
        task.state == _QUEUED, task.lane == lane, _is_due(task, instant), _is_for(task, claimant),
        or_(task.epoch > _NEVER, is_first),
    )  # fmt: skip


def _find_claimable(claimant: Claimant, lane: str, instant: datetime) -> Select[str, str]:
    query = select(Task.id, Task.team_id).where(*_claimable(Task, claimant, lane, instant))
    return query.order_by(Task.priority, Task.seq)


def _locked(query: Select[str, str], room: int) -> Select[str, str]:
    return query.limit(room).with_for_update(of=Task, skip_locked=True)


async def _find_of_other_teams(session: AsyncSession, claimant: Claimant, opening: Opening) -> Sequence[Candidate]:
    """Lock the first task of each team that waits and has not its share yet."""
    heads = select(heads_of_teams(claimant, opening.lane, opening.crowded, now()).subquery().c.id)
    query = select(Task.id, Task.team_id).where(Task.id.in_(heads), Task.state == _QUEUED)
    return (await session.execute(_locked(query.order_by(Task.priority, Task.seq), opening.room))).all()


def heads_of_teams(claimant: Claimant, lane: str, crowded: Collection[str], instant: datetime) -> Select[str]:
    """Select the first task that can be claimed of each team, without reading the others: one step per team."""
    least, following, head = Task, aliased(Task), aliased(Task)
    of_first = select(func.min(least.team_id).label("team_id")).where(least.state == _QUEUED, least.lane == lane)
    teams = of_first.cte("teams", recursive=True)
    of_next = select(func.min(following.team_id)).where(
        following.state == _QUEUED, following.lane == lane, following.team_id > teams.c.team_id
    )
    step = select(of_next.correlate(teams).scalar_subquery()).where(teams.c.team_id.is_not(None))
    teams = teams.union_all(step)
    of_team = select(head.id).where(*_claimable(head, claimant, lane, instant), head.team_id == teams.c.team_id)
    first = of_team.order_by(head.priority, head.seq).limit(1).correlate(teams).scalar_subquery()
    return select(first.label("id")).select_from(teams).where(teams.c.team_id.not_in(crowded))


async def _start(session: AsyncSession, found: Sequence[Candidate], worker: str) -> list[Task]:
    """Mark tasks as running here. Those whose target another worker has taken meanwhile are left out."""
    ids = [row.id for row in found]
    if not ids:
        return []
    try:
        async with session.begin_nested():
            return await _mark_running(session, ids, worker)
    except IntegrityError:
        pass
    taken: list[Task] = []
    for id_ in ids:
        try:
            async with session.begin_nested():
                taken += await _mark_running(session, [id_], worker)
        except IntegrityError:
            continue
    return taken


async def _mark_running(session: AsyncSession, ids: Sequence[str], worker: str) -> list[Task]:
    values = {"state": "running", "worker": worker, "epoch": Task.epoch + 1, "not_before": None, "because": None}
    started = func.coalesce(Task.started_at, now())
    query = update(Task).where(Task.id.in_(ids)).values(**values, started_at=started).returning(Task)
    rows = await session.scalars(query.execution_options(synchronize_session=False, populate_existing=True))
    return sorted(rows, key=lambda task: ids.index(task.id))
