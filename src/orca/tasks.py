"""Durable tasks: every finished step is remembered, and what a crash interrupts goes on after it.

A task is one row in the database of its own installation: queued in the caller's transaction, claimed by one worker,
one running per target. Decision and facts: docs/adr/0005-durable-tasks-on-orcas-own-tables.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import event, func, or_, select, update
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncSession

from orca import workers
from orca.db import DATABASE_AWAY, now
from orca.errors import OrcaError, TaskCancelled
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.task_run import FINISHED, STOP_SECONDS, Task, TaskLost, TaskRun
from orca.workers import HEARTBEAT_SECONDS, Worker

__all__ = ["TASKS_AT_ONCE", "Periodic", "Task", "TaskDefinition", "TaskEngine", "TaskRun", "count_active"]

log = structlog.get_logger("orca.tasks")

LOCAL_EXECUTOR = "local"
"""With SQLite one process runs everything, so nobody has to be watched and nothing has to be shared out."""
POLL_SECONDS = {True: 5.0, False: 1.0}
"""How often a worker looks without being called; `True` when it is the only one, who is called for everything."""
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between tries while the database does not take writes (gone, or its disk is full)."""
TASKS_AT_ONCE = 24
"""In one process. Builds, which are the heavy part, have a limit of their own."""
MAX_RECOVERIES = 20
"""A task that was running at this many deaths of its process is given up: it may be what kills it."""


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """A kind of task. `run` is replayed after a crash, so everything that has an effect is in a step.

    `settle` gives the target of a task that did not succeed its end, if the task could not do that itself:
    (resources, task id, reason). It is called for every such end, so it leaves alone what has ended already.
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
        self._taking = asyncio.Lock()
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
        if ending:
            await asyncio.wait(ending, timeout=2 * STOP_SECONDS)
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
                await self._claim(resources)
            except Exception:
                log.exception("tasks_not_read")
                await asyncio.sleep(RETRY_SECONDS[0])
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), POLL_SECONDS[self.is_alone])

    async def _claim(self, resources: Resources) -> None:
        """Start the oldest queued task of each target where none runs, as many as there is room for."""
        room = self._concurrency - len(self._runs)
        if room <= 0 or not await self._is_anything_queued(resources):
            return
        busy = select(Task.target).where(Task.state == "running")
        first = select(func.min(Task.id)).where(Task.state == "queued", Task.target.not_in(busy)).group_by(Task.target)
        waiting = select(Task).where(Task.state == "queued", Task.id.in_(first)).order_by(Task.id).limit(room)
        async with self._taking:
            async with resources.db.write() as session:
                tasks = (await session.scalars(waiting.with_for_update(skip_locked=True))).all()
                for task in tasks:
                    task.state, task.worker, task.started_at = "running", self.executor, now()
            for task in tasks:
                self._spawn(resources, task)

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
            for task_id, reason in await session.execute(asked):
                if task_id in self._runs and reason is not None:
                    self._runs[task_id][0].cancel(reason)

    def _spawn(self, resources: Resources, task: Task) -> None:
        run = TaskRun(resources, task.id, self.executor)
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
                if reason is not None:
                    await self._settle(run, task, reason)
                return await run.finish(state, reason)
            except TaskLost:
                log.warning("task_lost", task=task.id)
                return None
            except DATABASE_AWAY as error:
                log.warning("task_waits_for_database", task=task.id, reason=str(error))
                await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1

    async def _outcome(self, run: TaskRun, task: Task) -> tuple[str, str | None]:
        """How it ended: (state, reason)."""
        definition = self.definitions.get(task.name)
        if definition is None:
            return "failed", f"This version of Orca knows no task called {task.name}."
        if task.recoveries > MAX_RECOVERIES:
            return "failed", "Orca was interrupted too often while it worked on this."
        try:
            await definition.run(run, task.payload)
        except TaskCancelled as error:
            return "cancelled", error.message
        except OrcaError as error:
            return "failed", error.message
        except (TaskLost, *DATABASE_AWAY):
            raise
        except Exception as error:
            log.exception("task_crashed", task=task.id, name=task.name)
            return "failed", f"unexpected {type(error).__name__}; the server log says more under task {task.id}"
        return "succeeded", None

    async def _settle(self, run: TaskRun, task: Task, reason: str) -> None:
        definition = self.definitions.get(task.name)
        if definition is None or definition.settle is None:
            return
        try:
            await definition.settle(run.resources, run.id, reason)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception("task_not_settled", task=task.id, name=task.name)

    async def _adopt(self, resources: Resources) -> None:
        """Go on with running tasks that nobody works on: their worker died, or this one lost them on the way here."""
        async with self._taking:
            lost = or_(
                func.coalesce(Task.worker, self.executor) == self.executor, Task.worker.not_in(select(Worker.id))
            )
            nobodys = update(Task).where(Task.state == "running", Task.id.not_in(list(self._runs)), lost)
            async with resources.db.write() as session:
                if not self.is_alone:
                    await workers.beat(session, self.executor)
                taking = nobodys.values(worker=self.executor, recoveries=Task.recoveries + 1).returning(Task)
                tasks = (await session.scalars(taking)).all()
            for task in tasks:
                log.warning("task_goes_on", task=task.id, name=task.name)
                self._spawn(resources, task)

    async def _keep_beating(self, resources: Resources) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                async with asyncio.timeout(2 * HEARTBEAT_SECONDS):
                    await self._adopt(resources)
            except Exception:
                log.exception("no_heartbeat")

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
