"""The task engine of one process: queues tasks, runs them, and lets go when others have taken over."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import event, select, update
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import DATABASE_AWAY, now
from orca.errors import OrcaError, TaskCancelled
from orca.kit.fence import NotOwner, fence
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.tasks import claims, workers
from orca.tasks.rows import FINISHED, Task
from orca.tasks.run import HELD_AFTER, STOP_SECONDS, TaskRun
from orca.tasks.workers import HEARTBEAT_SECONDS, StruckOff

log = structlog.get_logger("orca.tasks")

POLL_SECONDS = {True: 5.0, False: 1.0}
"""How often a worker looks without being called; `True` when it is the only one, who is called for everything."""
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between tries while the database does not take writes (gone, or its disk is full)."""
TASKS_AT_ONCE = 24
"""In one process. Builds, which are the heavy part, have a limit of their own."""
SUSPECT_SECONDS = 20.0
"""What ends its process mostly does so at once; the next ones, whose sites may be down, wait no longer than this."""
_STRUCK_OFF = "The other workers thought that this process had died, and do its work: it was frozen, or cut off."


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
        self.executor = new_id()
        self.ended = asyncio.Event()
        """This process must end now, for the reason in `draining`."""
        self.draining = ""
        """Why no more tasks are taken."""
        self._concurrency = concurrency
        self._news = asyncio.Event()
        self._taking = asyncio.Lock()
        self._runs: dict[str, tuple[TaskRun, asyncio.Task[None]]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._duties: list[asyncio.Task[None]] = []
        self._suspect: str | None = None
        """The task that runs here and was at work when its process died, until it has finished a step."""

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
        async with resources.db.write() as session:
            await workers.enter(session, self.executor, self.definitions)
        if not self.is_alone:
            self._loops.append(asyncio.create_task(self._keep_beating(resources)))
        await self._free_lost(resources)
        self._loops.append(asyncio.create_task(self._dispatch(resources)))
        self._duties += [asyncio.create_task(self._repeat(resources, each)) for each in duties]

    def drain(self, why: str) -> None:
        """Finish what runs, take no more, then set `ended`."""
        if not self.draining:
            log.warning("worker_drains", reason=why, running=len(self._runs))
            self.draining = why
            _cancel(self._duties)
            self._news.set()
            self._end_when_drained()

    async def stop(self, resources: Resources) -> None:
        """Stop taking tasks; unfinished ones go on at the next start or in another worker."""
        ending = [*self._loops, *self._duties, *(task for _, task in self._runs.values())]
        _cancel(ending)
        if ending:
            await asyncio.wait(ending, timeout=2 * STOP_SECONDS)
        async with resources.db.write() as session:
            if not self._runs:  # one that does not stop is still at work
                await claims.release_all(session, self.executor)
            await workers.leave(session, self.executor)

    def _end_when_drained(self) -> None:
        if self.draining and not self._runs:
            self.ended.set()

    async def _check_listed(self, resources: Resources) -> None:
        """Give all up when this process has lost more than one task."""
        try:
            async with resources.db.read() as session:
                await workers.check_listed(session, self.executor)
        except StruckOff:
            self._give_up()
        except DATABASE_AWAY as error:
            log.warning("worker_not_checked", reason=str(error))  # the next claim does

    def _give_up(self) -> None:
        """Others do all of this by now. What is left of it here stops, and each effect that it tries is refused."""
        log.critical("worker_was_declared_dead", worker=self.executor)
        current = asyncio.current_task()
        ending = (*self._loops, *self._duties, *(task for _, task in self._runs.values()))
        _cancel(task for task in ending if task is not current)
        self.draining = _STRUCK_OFF
        self.ended.set()

    def _tell_after_commit(self, session: AsyncSession) -> None:
        event.listen(session.sync_session, "after_commit", lambda _session: self._news.set(), once=True)

    async def _dispatch(self, resources: Resources) -> None:
        """Start what waits and stop what was cancelled: when called, and every so often unasked."""
        while True:
            self._news.clear()
            try:
                await self._deliver_cancels(resources)
                if not self.draining:
                    await self._claim(resources)
            except StruckOff:
                return self._give_up()
            except Exception:
                log.exception("tasks_not_read")
                await asyncio.sleep(RETRY_SECONDS[0])
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), POLL_SECONDS[self.is_alone])

    async def _claim(self, resources: Resources) -> None:
        """Go on with what others left, and start what is queued, as far as there is room."""
        room, names = self._concurrency - len(self._runs), self.definitions
        if room <= 0:
            return
        async with resources.db.read() as session:
            if not await claims.is_any_waiting(session, names):
                return
        async with self._taking:
            async with resources.db.write() as session:
                await workers.check_listed(session, self.executor)
                resumed = await claims.resume(session, self.executor, names, suspect=self._suspect is None)
                claimed = await claims.claim(session, self.executor, names, room)
            for task in resumed:
                log.warning("task_goes_on", task=task.id, name=task.name, deaths=task.recoveries)
            for task in (*resumed, *claimed):
                self._spawn(resources, task)

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
        if task.recoveries:
            self._suspect = task.id
            asyncio.get_running_loop().call_later(SUSPECT_SECONDS, self._clear, task.id)
        run = TaskRun(resources, task, partial(self._clear, task.id))
        working = asyncio.create_task(self._work(run, task))
        self._runs[task.id] = (run, working)
        working.add_done_callback(lambda _done: self._forget(task.id))

    def _clear(self, task_id: str) -> None:
        """It got further than where the process had died: the next suspect has its turn."""
        if self._suspect == task_id:
            self._suspect = None
            self._news.set()

    def _forget(self, task_id: str) -> None:
        del self._runs[task_id]
        self._clear(task_id)
        self._news.set()
        self._end_when_drained()

    async def _work(self, run: TaskRun, task: Task) -> None:
        """Run to an end. While the database does not take writes, begin again from what it remembers."""
        fence.set(run.check_owner)
        tries = 0
        while True:
            try:
                await run.recall()
                state, reason = await self._outcome(run, task)
                if reason is not None and task.recoveries <= HELD_AFTER + 1:
                    await self._settle(run, task, reason)
                return await run.finish(state, reason)
            except NotOwner:
                log.warning("task_lost", task=task.id)
                return await self._check_listed(run.resources)
            except DATABASE_AWAY as error:
                log.warning("task_waits_for_database", task=task.id, reason=str(error))
                await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1

    async def _outcome(self, run: TaskRun, task: Task) -> tuple[str, str | None]:
        """How it ended: (state, reason)."""
        if task.recoveries > HELD_AFTER:  # even holding it back, which undoes what it did, ended the process
            return "failed", "Orca's process ended again and again while it worked on this."
        try:
            await self.definitions[task.name].run(run, task.payload)
        except TaskCancelled as error:
            return "cancelled", error.message
        except OrcaError as error:
            return "failed", error.message
        except DATABASE_AWAY:
            raise
        except Exception as error:
            log.exception("task_crashed", task=task.id, name=task.name)
            return "failed", f"unexpected {type(error).__name__}; the server log says more under task {task.id}"
        return "succeeded", None

    async def _settle(self, run: TaskRun, task: Task, reason: str) -> None:
        settle = self.definitions[task.name].settle
        if settle is None:
            return
        try:
            await settle(run.resources, run.id, reason)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception("task_not_settled", task=task.id, name=task.name)

    async def _free_lost(self, resources: Resources) -> None:
        """Let somebody go on with running tasks whose worker died."""
        async with self._taking, resources.db.write() as session:
            if not self.is_alone:
                await workers.beat(session, self.executor)
            freed = await claims.release_lost(session, self.executor, list(self._runs))
        if freed:
            log.warning("tasks_left_behind", tasks=freed)
            self._news.set()

    async def _keep_beating(self, resources: Resources) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                async with asyncio.timeout(2 * HEARTBEAT_SECONDS):
                    await self._free_lost(resources)
            except StruckOff:
                return self._give_up()
            except Exception:
                log.exception("no_heartbeat")

    async def _repeat(self, resources: Resources, duty: Periodic) -> None:
        while True:
            fence.set(None)
            try:
                if self.is_alone or await self._hold(resources, duty):
                    fence.set(partial(self._check_duty, resources, duty))
                    await self._do(resources, duty)
            except NotOwner:
                log.warning("duty_lost", duty=duty.name)
                await self._check_listed(resources)
            except Exception:
                log.exception("duty_failed", duty=duty.name)
            await asyncio.sleep(duty.seconds)

    async def _do(self, resources: Resources, duty: Periodic) -> None:
        """Run a duty, and keep the lease for as long as that takes."""
        working: asyncio.Future[None] = asyncio.ensure_future(duty.run(resources))
        try:
            while not (await asyncio.wait({working}, timeout=duty.seconds))[0]:
                if not self.is_alone:
                    await self._hold(resources, duty)
            working.result()
        finally:
            working.cancel()
            await asyncio.wait({working})

    async def _check_duty(self, resources: Resources, duty: Periodic, transaction: AsyncSession | None) -> None:
        """Raise NotOwner when another worker does this duty by now."""
        if transaction is None:
            async with resources.db.read() as session:
                await self._check_duty(resources, duty, session)
            return
        await workers.check_listed(transaction, self.executor)
        if not self.is_alone:
            await workers.check_holder(transaction, duty.name, self.executor)

    async def _hold(self, resources: Resources, duty: Periodic) -> bool:
        async with resources.db.write() as session:
            return await workers.hold(session, duty.name, self.executor, seconds=3 * duty.seconds + 10)


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
