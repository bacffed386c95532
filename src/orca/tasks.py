"""Durable tasks: every finished step is remembered, and what a crash interrupts goes on after it.

A task is one row in the database of its own installation: queued in the caller's transaction, claimed by one worker,
one running per target. Decision and facts: docs/adr/0005-durable-tasks-on-orcas-own-tables.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import JSON, ForeignKey, String, Text, delete, event, func, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from orca import workers
from orca.db import Base, Row, now, unique_where
from orca.errors import DeadlineExceeded, OrcaError, TaskCancelled, revive
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.workers import HEARTBEAT_SECONDS, Worker

T = TypeVar("T")
log = structlog.get_logger("orca.tasks")

LOCAL_EXECUTOR = "local"
"""With SQLite one process runs everything, so nobody has to be watched and nothing has to be shared out."""
POLL_SECONDS = {True: 5.0, False: 1.0}
"""How often a worker looks without being called; `True` when it is the only one, who is called for everything."""
STOP_SECONDS = 12.0
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between tries while the database does not take writes (gone, or its disk is full)."""
MAX_RECOVERIES = 20
"""A task that was running at this many deaths of its process is given up: it may be what kills it."""
FINISHED = ("succeeded", "failed", "cancelled")


class Task(Row, Base):
    """One durable operation. `state` is queued, running, succeeded, failed or cancelled."""

    __tablename__ = "tasks"

    name: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(64), index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    worker: Mapped[str | None] = mapped_column(String(36))
    recoveries: Mapped[int] = mapped_column(default=0)
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


class TaskRun:
    """One run of a task, as its function sees it."""

    def __init__(self, resources: Resources, task_id: str) -> None:
        self.resources = resources
        self.id = task_id
        self._cancelled: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._memory: dict[str, dict[str, Any]] = {}
        self._passed: set[str] = set()

    async def step(
        self, name: str, work: Callable[[], Awaitable[T]], *, deadline: float, cancellable: bool = True
    ) -> T:
        """Run `work` once: after a crash a finished step answers from memory, an unfinished one runs again.

        `deadline` is in seconds. A cancel stops the work (its asyncio task is cancelled and awaited) and raises
        TaskCancelled; the deadline raises DeadlineExceeded. The result must be plain JSON data. A name is used once.
        """
        if name in self._passed:
            raise ValueError(f"this task already has a step called {name}")
        self._passed.add(name)
        if name in self._memory:
            return cast("T", _answer(self._memory[name]))
        try:
            result = await self._supervise(name, work, deadline, cancellable=cancellable)
        except OrcaError as error:
            await self._remember(name, {"code": error.code, "message": error.message, "hint": error.hint})
            raise
        await self._remember(name, {"result": result})
        return result

    async def recall(self) -> None:
        """Read what an earlier run of this task finished."""
        async with self.resources.db.read() as session:
            steps = await session.scalars(select(TaskStep).where(TaskStep.task_id == self.id))
            self._memory = {step.name: step.outcome for step in steps}
        self._passed = set()

    def cancel(self, reason: str) -> None:
        """Stop the step that runs now, and every cancellable one after it."""
        if not self._cancelled.done():
            self._cancelled.set_result(reason)

    async def _remember(self, name: str, outcome: dict[str, Any]) -> None:
        async with self.resources.db.write() as session:
            session.add(TaskStep(task_id=self.id, name=name, outcome=outcome))

    async def _supervise(self, name: str, work: Callable[[], Awaitable[T]], deadline: float, *, cancellable: bool) -> T:
        if cancellable and self._cancelled.done():
            raise TaskCancelled(self._cancelled.result())
        working = asyncio.ensure_future(work())
        watched: set[asyncio.Future[Any]] = {working, self._cancelled} if cancellable else {working}
        try:
            await asyncio.wait(watched, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
        finally:
            await _stop(working)
        if cancellable and self._cancelled.done():
            raise TaskCancelled(self._cancelled.result())
        raise DeadlineExceeded(
            f"“{name}” did not finish within {deadline:g} s",
            hint="Look at the log for what it was waiting for; raise the time limit if the work is really that long.",
        )


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """A kind of task. `run` is replayed after a crash, so everything that has an effect is in a step.

    `settle` is called when a task ended without being able to tell its target: (resources, task id, reason).
    """

    name: str
    run: Callable[[TaskRun, Mapping[str, Any]], Awaitable[None]]
    settle: Callable[[Resources, str, str], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Periodic:
    """A duty that one process at a time does at start and then every so often; safe to skip and to repeat."""

    name: str
    seconds: float
    run: Callable[[Resources], Awaitable[None]]


class TaskEngine:
    """Queues tasks and, once started with resources, runs them on this process's event loop."""

    def __init__(self, url: URL, definitions: Sequence[TaskDefinition], *, concurrency: int) -> None:
        self.definitions = {each.name: each for each in definitions}
        self.is_alone = url.get_backend_name() == "sqlite"
        self.executor = LOCAL_EXECUTOR if self.is_alone else new_id()
        self._concurrency = concurrency
        self._news = asyncio.Event()
        self._runs: dict[str, tuple[TaskRun, asyncio.Task[None]]] = {}
        self._duties: list[asyncio.Task[None]] = []

    async def enqueue(self, session: AsyncSession, task: str, *, target: str, payload: Mapping[str, Any]) -> str:
        """See `TaskQueue.enqueue`."""
        row = Task(id=new_id(), name=task, target=target, payload=dict(payload))
        session.add(row)
        await session.flush()
        self._tell_after_commit(session)
        return row.id

    async def cancel(self, session: AsyncSession, task_id: str, reason: str) -> None:
        """See `TaskQueue.cancel`."""
        unfinished = update(Task).where(Task.id == task_id, Task.state.not_in(FINISHED))
        await session.execute(unfinished.where(Task.cancel_reason.is_(None)).values(cancel_reason=reason))
        await session.execute(
            unfinished.where(Task.state == "queued").values(state="cancelled", reason=reason, finished_at=now())
        )
        self._tell_after_commit(session)

    async def start(self, resources: Resources, duties: Sequence[Periodic] = ()) -> None:
        """Go on with what a crash interrupted, then run tasks until `stop`."""
        if not self.is_alone:
            async with resources.db.write() as session:
                await workers.enter(session, self.executor)
            self._duties.append(asyncio.create_task(self._keep_beating(resources)))
        await self._adopt(resources)
        self._duties.append(asyncio.create_task(self._dispatch(resources)))
        self._duties += [asyncio.create_task(self._repeat(resources, each)) for each in duties]

    async def stop(self, resources: Resources) -> None:
        """Stop taking tasks; unfinished ones go on at the next start or in another worker."""
        ending = [*self._duties, *(task for _, task in self._runs.values())]
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if not self.is_alone:
            async with resources.db.write() as session:
                await workers.leave(session, self.executor)

    def _tell_after_commit(self, session: AsyncSession) -> None:
        event.listen(session.sync_session, "after_commit", lambda _session: self._news.set(), once=True)

    async def _dispatch(self, resources: Resources) -> None:
        """Start what waits and stop what was cancelled: when called, and every so often unasked."""
        while True:
            self._news.clear()
            try:
                await self._deliver_cancels(resources)
                for task in await self._claim(resources):
                    self._spawn(resources, task)
            except DBAPIError as error:
                log.warning("tasks_not_read", reason=str(error.orig))
                await asyncio.sleep(RETRY_SECONDS[0])
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), POLL_SECONDS[self.is_alone])

    async def _claim(self, resources: Resources) -> Sequence[Task]:
        """The oldest queued task of each target where none runs, as many as there is room for; now ours."""
        room = self._concurrency - len(self._runs)
        if room <= 0 or not await self._is_anything_queued(resources):
            return ()
        busy = select(Task.target).where(Task.state == "running")
        first = select(func.min(Task.id)).where(Task.state == "queued", Task.target.not_in(busy)).group_by(Task.target)
        waiting = select(Task).where(Task.state == "queued", Task.id.in_(first)).order_by(Task.id).limit(room)
        async with resources.db.write() as session:
            tasks = (await session.scalars(waiting.with_for_update(skip_locked=True))).all()
            for task in tasks:
                task.state, task.worker, task.started_at = "running", self.executor, now()
        return tasks

    async def _is_anything_queued(self, resources: Resources) -> bool:
        """Asked first, so that looking costs no write transaction."""
        async with resources.db.read() as session:
            return await session.scalar(select(Task.id).where(Task.state == "queued").limit(1)) is not None

    async def _deliver_cancels(self, resources: Resources) -> None:
        if not self._runs:
            return
        asked = select(Task.id, Task.cancel_reason).where(
            Task.id.in_(list(self._runs)), Task.cancel_reason.is_not(None)
        )
        async with resources.db.read() as session:
            for task_id, reason in (await session.execute(asked)).tuples():
                if task_id in self._runs and reason is not None:
                    self._runs[task_id][0].cancel(reason)

    def _spawn(self, resources: Resources, task: Task) -> None:
        run = TaskRun(resources, task.id)
        working = asyncio.create_task(self._work(run, task))
        self._runs[task.id] = (run, working)
        working.add_done_callback(lambda _done: self._forget(task.id))

    def _forget(self, task_id: str) -> None:
        del self._runs[task_id]
        self._news.set()

    async def _work(self, run: TaskRun, task: Task) -> None:
        """Run to an end. While the database does not take writes, begin again from what it remembers."""
        tries = 0
        while True:
            try:
                await run.recall()
                state, reason = await self._outcome(run, task)
                return await _finish(run.resources, task.id, state, reason)
            except OperationalError as error:
                log.warning("task_waits_for_database", task=task.id, reason=str(error.orig))
                await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1

    async def _outcome(self, run: TaskRun, task: Task) -> tuple[str, str | None]:
        """How it ended: (state, reason)."""
        definition = self.definitions.get(task.name)
        if definition is None:
            return "failed", f"This version of Orca knows no task called {task.name}."
        if task.recoveries > MAX_RECOVERIES:
            return await _give_up(run, definition, "Orca was interrupted too often while it worked on this.")
        try:
            await definition.run(run, task.payload)
        except TaskCancelled as error:
            return "cancelled", error.message
        except OrcaError as error:
            return "failed", error.message
        except OperationalError:
            raise
        except Exception as error:
            log.exception("task_crashed", task=task.id, name=task.name)
            reason = f"unexpected {type(error).__name__}; the server log says more under task {task.id}"
            return await _give_up(run, definition, reason)
        return "succeeded", None

    async def _adopt(self, resources: Resources) -> None:
        """Go on with running tasks whose worker lives no more."""
        lost = func.coalesce(Task.worker, "").not_in(select(Worker.id))
        taken = update(Task).where(Task.state == "running", Task.id.not_in(list(self._runs)), lost)
        async with resources.db.write() as session:
            if not self.is_alone:
                await workers.beat(session, self.executor)
            taking = taken.values(worker=self.executor, recoveries=Task.recoveries + 1).returning(Task)
            tasks = (await session.scalars(taking)).all()
        for task in tasks:
            log.warning("task_goes_on", task=task.id, name=task.name)
            self._spawn(resources, task)

    async def _keep_beating(self, resources: Resources) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self._adopt(resources)
            except DBAPIError as error:
                log.warning("no_heartbeat", reason=str(error.orig))

    async def _repeat(self, resources: Resources, duty: Periodic) -> None:
        while True:
            try:
                if self.is_alone or await self._hold(resources, duty):
                    await duty.run(resources)
            except Exception:
                log.exception("duty_failed", duty=duty.name)
            await asyncio.sleep(duty.seconds)

    async def _hold(self, resources: Resources, duty: Periodic) -> bool:
        async with resources.db.write() as session:
            return await workers.hold(session, duty.name, self.executor, seconds=3 * duty.seconds + 10)


async def count_active(session: AsyncSession) -> int:
    """Tasks that wait or run."""
    return await session.scalar(select(func.count()).select_from(Task).where(Task.state.not_in(FINISHED))) or 0


def _answer(outcome: Mapping[str, Any]) -> Any:
    if "result" in outcome:
        return outcome["result"]
    raise revive(outcome["code"], outcome["message"], outcome["hint"])


async def _give_up(run: TaskRun, definition: TaskDefinition, reason: str) -> tuple[str, str]:
    """The task cannot tell its target how it ended, so that is done for it."""
    if definition.settle is not None:
        await definition.settle(run.resources, run.id, reason)
    return "failed", reason


async def _finish(resources: Resources, task_id: str, state: str, reason: str | None) -> None:
    async with resources.db.write() as session:
        ended = update(Task).where(Task.id == task_id, Task.state.not_in(FINISHED))
        await session.execute(ended.values(state=state, reason=reason, finished_at=now()))
        await session.execute(delete(TaskStep).where(TaskStep.task_id == task_id))


async def _stop(working: asyncio.Future[Any]) -> None:
    """Cancel and wait until the work has really let go, for a bounded time."""
    if working.done():
        return
    working.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait({working}, timeout=STOP_SECONDS)
