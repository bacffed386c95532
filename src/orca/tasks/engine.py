"""The task engine of one process: queues tasks, runs them, and stops when other workers have taken them over."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
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
from orca.resources import PlaceInLine, Resources
from orca.tasks import claims, workers
from orca.tasks.claims import Claimant, Return
from orca.tasks.lanes import ANYTHING, LANES, Opening, list_openings
from orca.tasks.rows import Task
from orca.tasks.run import HELD_AFTER, STOP_SECONDS, PutBack, TaskRun
from orca.tasks.workers import HEARTBEAT_SECONDS, StruckOff

log = structlog.get_logger("orca.tasks")

POLL_SECONDS = {True: 5.0, False: 1.0}
"""Poll interval of a worker that gets no notification; `True`: the only worker, which is notified of everything."""
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between retries while the database accepts no writes (unreachable, or its disk is full)."""
SUSPECT_SECONDS = 20.0
"""How long the next suspects, whose sites may be down, wait at most for a task that may have killed its process:
mostly that happens at once."""
_STRUCK_OFF = "The other workers thought that this process had died, and do its work: it was frozen, or cut off."


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """A kind of task. `run` is replayed after a crash, so every side effect must be in a step.

    `settle(resources, task id, reason)` brings the target of an unsuccessful task to a final state, if the task could
    not do so itself. It is called for every such task, so it must not change a target that is final already.
    `lane` is the one of `orca.tasks.lanes` in which the task waits and begins.
    """

    name: str
    run: Callable[[TaskRun, Mapping[str, Any]], Awaitable[None]]
    settle: Callable[[Resources, str, str], Awaitable[None]] | None = None
    lane: str = "run"


@dataclass(frozen=True, slots=True)
class Periodic:
    """A periodic job that one process at a time runs at start and then at intervals; safe to skip and to repeat."""

    name: str
    seconds: float
    run: Callable[[Resources], Awaitable[None]]


class TaskEngine:
    """Queues tasks and, once started with resources, runs them on this process's event loop."""

    def __init__(
        self,
        url: URL,
        definitions: Sequence[TaskDefinition],
        *,
        lanes: Mapping[str, int] = LANES,
        offers: Collection[str] = (ANYTHING,),
    ) -> None:
        self.definitions = {definition.name: definition for definition in definitions}
        self.is_alone = url.get_backend_name() == "sqlite"
        self.executor = new_id()
        self.ended = asyncio.Event()
        """Set when this process must exit; the reason is in `draining`."""
        self.draining = ""
        """Why no more tasks are claimed; empty while they are."""
        self._limits = lanes
        self._claimant = Claimant(self.executor, list(self.definitions), list(offers))
        self._news = asyncio.Event()
        self._taking = asyncio.Lock()
        self._runs: dict[str, tuple[TaskRun, asyncio.Task[None]]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._periodic: list[asyncio.Task[None]] = []
        self._suspect: str | None = None
        """The running task that was also running when its process died, until it has finished a step."""

    async def enqueue(
        self,
        session: AsyncSession,
        task: str,
        *,
        target: str,
        payload: Mapping[str, Any],
        place: PlaceInLine = PlaceInLine(),
    ) -> str:
        """See `TaskQueue.enqueue`."""
        row = Task(
            id=new_id(), name=task, target=target, payload=dict(payload), lane=self.definitions[task].lane,
            team_id=place.team_id, priority=place.priority, needs=place.needs, not_before=place.not_before,
        )  # fmt: skip
        session.add(row)
        await session.flush()
        self._tell_after_commit(session)
        return row.id

    async def cancel(self, session: AsyncSession, task_id: str, reason: str) -> None:
        """See `TaskQueue.cancel`."""
        await claims.cancel(session, task_id, reason)
        self._tell_after_commit(session)

    async def start(self, resources: Resources, jobs: Sequence[Periodic] = ()) -> None:
        """Resume tasks that a crash interrupted, then run tasks until `stop`."""
        async with resources.db.write() as session:
            await workers.enter(session, self.executor, self.definitions, self._claimant.offers)
        if not self.is_alone:
            self._loops.append(asyncio.create_task(self._keep_beating(resources)))
        await self._free_lost(resources)
        self._loops.append(asyncio.create_task(self._dispatch(resources)))
        self._periodic += [asyncio.create_task(self._repeat(resources, job)) for job in jobs]

    def drain(self, why: str) -> None:
        """Claim no more tasks, let the running ones finish, then set `ended`."""
        if not self.draining:
            log.warning("worker_drains", reason=why, running=len(self._runs))
            self.draining = why
            _cancel(self._periodic)
            self._news.set()
            self._end_when_drained()

    async def stop(self, resources: Resources) -> None:
        """Stop claiming and running tasks; unfinished ones are resumed at the next start or by another worker."""
        ending = [*self._loops, *self._periodic, *(task for _, task in self._runs.values())]
        _cancel(ending)
        if ending:
            await asyncio.wait(ending, timeout=2 * STOP_SECONDS)
        async with resources.db.write() as session:
            if not self._runs:  # a task that does not stop is still running, so it must not be released
                await claims.release_all(session, self.executor)
            await workers.leave(session, self.executor)

    def _end_when_drained(self) -> None:
        if self.draining and not self._runs:
            self.ended.set()

    async def _check_listed(self, resources: Resources) -> None:
        """Give up all work if this process was declared dead, rather than having lost only one task."""
        try:
            async with resources.db.read() as session:
                await workers.check_listed(session, self.executor)
        except StruckOff:
            self._give_up()
        except DATABASE_AWAY as error:
            log.warning("worker_not_checked", reason=str(error))  # checked again by the next claim

    def _give_up(self) -> None:
        """Cancel everything: other workers own it by now. The fence refuses side effects of what still runs here."""
        log.critical("worker_was_declared_dead", worker=self.executor)
        current = asyncio.current_task()
        ending = (*self._loops, *self._periodic, *(task for _, task in self._runs.values()))
        _cancel(task for task in ending if task is not current)
        self.draining = _STRUCK_OFF
        self.ended.set()

    def _tell_after_commit(self, session: AsyncSession) -> None:
        event.listen(session.sync_session, "after_commit", lambda _session: self._news.set(), once=True)

    async def _dispatch(self, resources: Resources) -> None:
        """Start waiting tasks and stop cancelled ones, when notified and at every poll interval."""
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
            with suppress(TimeoutError):  # `wait_for` loses a cancellation that comes with a notification
                async with asyncio.timeout(POLL_SECONDS[self.is_alone]):
                    await self._news.wait()

    async def _claim(self, resources: Resources) -> None:
        """Resume released tasks and start queued ones, as many as have room in their lanes."""
        async with resources.db.read() as session:
            if not await claims.is_any_waiting(session):
                return
            open_lanes = [opening.lane for opening in self._list_openings()]
            lanes = await claims.list_lanes_to_claim(session, self._claimant, open_lanes)
            if not lanes and not (open_lanes and await claims.is_any_released(session, self._claimant)):
                return
        async with self._taking:
            openings, claimed = self._list_openings(), list[Task]()
            async with resources.db.write() as session:
                await workers.check_listed(session, self.executor)
                resumed = await claims.resume(session, self._claimant, openings, suspect=self._suspect is None)
                for free in openings:
                    if free.lane in lanes and free.room > 0:
                        claimed += await claims.claim(session, self._claimant, free)
            for task in resumed:
                log.warning("task_goes_on", task=task.id, name=task.name, deaths=task.recoveries)
            for task in (*resumed, *claimed):
                self._spawn(resources, task)

    def _list_openings(self) -> list[Opening]:
        return list_openings(self._limits, (run for run, _ in self._runs.values()))

    async def _enter_lane(self, run: TaskRun, lane: str) -> bool:
        """Move a running task to another lane, if a slot is free there for which no other task waits."""
        async with self._taking:
            if all(opening.lane != lane for opening in self._list_openings()):
                return False
            async with run.resources.db.write() as session:
                if await claims.is_any_in_line(session, self._claimant, lane):
                    return False
                await session.execute(update(Task).where(Task.id == run.id).values(lane=lane))
            run.lane = lane
        self._news.set()  # the lane that it left has a free slot
        return True

    async def _put_back(self, run: TaskRun, way: Return) -> bool:
        """Queue a task again, and free its slot. False when it was cancelled meanwhile, so that it must go on."""
        async with self._taking:
            async with run.resources.db.write() as session:
                is_back = await claims.put_back(session, run.id, way)
                cancel_reason = await session.scalar(select(Task.cancel_reason).where(Task.id == run.id))
            if is_back:
                self._runs.pop(run.id)
        if not is_back:
            run.cancel(cancel_reason or "")
        elif way.not_before is not None:
            seconds = max(0.0, (way.not_before - now()).total_seconds())
            asyncio.get_running_loop().call_later(seconds, self._news.set)
        return is_back

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
        run = TaskRun(resources, task, partial(self._clear, task.id), self._enter_lane)
        working = asyncio.create_task(self._work(run, task))
        self._runs[task.id] = (run, working)
        working.add_done_callback(partial(self._forget, task.id))

    def _clear(self, task_id: str) -> None:
        """Clear a task of suspicion, as it got past the step at which its process died; the next suspect may run."""
        if self._suspect == task_id:
            self._suspect = None
            self._news.set()

    def _forget(self, task_id: str, working: asyncio.Task[None]) -> None:
        if task_id in self._runs and self._runs[task_id][1] is working:  # else it was put back, and may run again
            del self._runs[task_id]
        self._clear(task_id)
        self._news.set()
        self._end_when_drained()

    async def _work(self, run: TaskRun, task: Task) -> None:
        """Run a task to its end. While the database accepts no writes, retry from the stored steps."""
        fence.set(run.check_owner)
        tries = 0
        while True:
            try:
                if await self._try(run, task):
                    return None
            except NotOwner:
                log.warning("task_lost", task=task.id)
                return await self._check_listed(run.resources)
            except DATABASE_AWAY as error:
                log.warning("task_waits_for_database", task=task.id, reason=str(error))
                await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1

    async def _try(self, run: TaskRun, task: Task) -> bool:
        """Run a task until it ends or gives its slot back; False when it has to be run again."""
        try:
            await run.load_steps()
            state, reason = await self._outcome(run, task)
        except PutBack as wish:
            return await self._put_back(run, wish.way)
        if reason is not None and task.recoveries <= HELD_AFTER + 1:
            await self._settle(run, task, reason)
        await run.finish(state, reason)
        return True

    async def _outcome(self, run: TaskRun, task: Task) -> tuple[str, str | None]:
        """Run the task and return its final state and the reason."""
        if task.recoveries > HELD_AFTER:  # even the run that raised HeldBack and only undid its work died
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
        """Release running tasks whose worker died, so that a living one resumes them."""
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

    async def _repeat(self, resources: Resources, job: Periodic) -> None:
        while True:
            fence.set(None)
            try:
                if self.is_alone or await self._hold(resources, job):
                    fence.set(partial(self._check_lease, resources, job))
                    await self._do(resources, job)
            except NotOwner:
                log.warning("periodic_job_lost", job=job.name)
                await self._check_listed(resources)
            except OrcaError as error:  # names its cause itself
                log.warning("periodic_job_failed", job=job.name, reason=error.message, hint=error.hint)
            except Exception:
                log.exception("periodic_job_failed", job=job.name)
            await asyncio.sleep(job.seconds)

    async def _do(self, resources: Resources, job: Periodic) -> None:
        """Run a periodic job, and renew its lease for as long as it runs."""
        working: asyncio.Future[None] = asyncio.ensure_future(job.run(resources))
        try:
            while not (await asyncio.wait({working}, timeout=job.seconds))[0]:
                if not self.is_alone:
                    await self._hold(resources, job)
            working.result()
        finally:
            working.cancel()
            await asyncio.wait({working})

    async def _check_lease(self, resources: Resources, job: Periodic, transaction: AsyncSession | None) -> None:
        """Raise NotOwner when another worker holds the lease of this job by now."""
        if transaction is None:
            async with resources.db.read() as session:
                await self._check_lease(resources, job, session)
            return
        await workers.check_listed(transaction, self.executor)
        if not self.is_alone:
            await workers.check_holder(transaction, job.name, self.executor)

    async def _hold(self, resources: Resources, job: Periodic) -> bool:
        async with resources.db.write() as session:
            return await workers.hold(session, job.name, self.executor, seconds=3 * job.seconds + 10)


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
