"""Durable tasks: a thin face over DBOS, which remembers each finished step and goes on after a crash.

The row in `tasks` is the state people see; the DBOS workflow of the same id does the work. Both are written in the
caller's transaction. Decision and facts: docs/adr/0001-durable-tasks-on-dbos.md.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from dbos import DBOS, DBOSClient, DBOSConfig
from sqlalchemy import String, Text, delete, func, select, update
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Row, now
from orca.errors import DeadlineExceeded, OrcaError, TaskCancelled
from orca.kit.ids import new_id
from orca.resources import Resources

T = TypeVar("T")
log = structlog.get_logger("orca.tasks")

APPLICATION_VERSION = "orca-1"
"""Pinned, so that a newer Orca goes on with the tasks of the one before it."""
LOCAL_EXECUTOR = "local"
HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 20.0
CANCEL_POLL_SECONDS = 0.5
POLL_SECONDS = 1.0
"""How often a worker looks for queued tasks: half of it is what a task waits, and each look costs CPU when idle."""
STOP_SECONDS = 12.0
FINISHED = ("succeeded", "failed", "cancelled")


class Task(Row, Base):
    """One durable operation. `state` is queued, running, succeeded, failed or cancelled."""

    __tablename__ = "tasks"

    name: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(64), index=True)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    reason: Mapped[str | None] = mapped_column(Text)
    cancel_reason: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Worker(Base):
    """A living process that runs tasks; its row is its heartbeat."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class Lease(Base):
    """Which process does a periodic duty now; it expires by itself."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(36))
    until: Mapped[datetime]


class TaskRun:
    """One run of a task, as its function sees it."""

    def __init__(self, resources: Resources, task_id: str) -> None:
        self.resources = resources
        self.id = task_id

    async def step(
        self, name: str, work: Callable[[], Awaitable[T]], *, deadline: float, cancellable: bool = True
    ) -> T:
        """Run `work` once: after a crash a finished step answers from memory, an unfinished one runs again.

        `deadline` is in seconds. A cancel stops the work (its asyncio task is cancelled and awaited) and raises
        TaskCancelled; the deadline raises DeadlineExceeded. The result must be plain data.
        """

        async def supervised() -> T:
            return await self._supervise(name, work, deadline, cancellable=cancellable)

        return await DBOS.run_step_async({"name": name}, supervised)

    async def _supervise(self, name: str, work: Callable[[], Awaitable[T]], deadline: float, *, cancellable: bool) -> T:
        working = asyncio.ensure_future(work())
        watch = asyncio.ensure_future(self._cancel_reason() if cancellable else asyncio.Event().wait())
        try:
            await asyncio.wait({working, watch}, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            reason = watch.result() if watch.done() else None
        finally:
            watch.cancel()
            await _stop(working)
        if reason is not None:
            raise TaskCancelled(str(reason))
        raise DeadlineExceeded(
            f"“{name}” did not finish within {deadline:g} s",
            hint="Look at the log for what it was waiting for; raise the time limit if the work is really that long.",
        )

    async def _cancel_reason(self) -> str:
        while True:
            async with self.resources.db.read() as session:
                reason = await session.scalar(select(Task.cancel_reason).where(Task.id == self.id))
            if reason is not None:
                return reason
            await asyncio.sleep(CANCEL_POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """A kind of task. `run` is replayed after a crash, so everything that has an effect is in a step.

    `settle` is called when a task can never finish by itself (given up by the engine), to give its target an end.
    """

    name: str
    queue: str
    run: Callable[[TaskRun, Mapping[str, Any]], Awaitable[None]]
    settle: Callable[[Resources, str, str], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Periodic:
    """A duty that one process at a time does at start and then every so often; safe to skip and to repeat."""

    name: str
    seconds: float
    run: Callable[[Resources], Awaitable[None]]


class TaskEngine:
    """Queues tasks and, once started with resources, runs them."""

    def __init__(self, url: URL, definitions: Sequence[TaskDefinition], *, concurrency: int) -> None:
        self.definitions = {each.name: each for each in definitions}
        self.executor = LOCAL_EXECUTOR if url.get_backend_name() == "sqlite" else new_id()
        self._url = system_database_url(url)
        self._concurrency = concurrency
        self._client: DBOSClient | None = None
        self._duties: list[asyncio.Task[None]] = []

    async def prepare(self) -> None:
        """Migrate the engine's tables and connect for queueing; needed before the first `enqueue`."""
        await asyncio.to_thread(DBOS.migrate, system_database_url=self._url)
        self._client = await asyncio.to_thread(
            DBOSClient, system_database_url=self._url, application_name="orca", system_database_pool_size=2
        )

    async def enqueue(self, session: AsyncSession, task: str, *, target: str, payload: Mapping[str, Any]) -> str:
        """See `TaskQueue.enqueue`."""
        row = Task(id=new_id(), name=task, target=target)
        session.add(row)
        await session.flush()
        await session.run_sync(
            lambda sync: self._connected().enqueue_in_transaction(
                sync,
                {
                    "workflow_name": task, "queue_name": self.definitions[task].queue, "workflow_id": row.id,
                    "queue_partition_key": target, "app_version": APPLICATION_VERSION,
                },
                row.id, dict(payload),
            )
        )  # fmt: skip
        return row.id

    async def cancel(self, session: AsyncSession, task_id: str, reason: str) -> None:
        """See `TaskQueue.cancel`."""
        unfinished = update(Task).where(Task.id == task_id, Task.state.not_in(FINISHED))
        await session.execute(unfinished.where(Task.cancel_reason.is_(None)).values(cancel_reason=reason))
        await session.execute(
            unfinished.where(Task.state == "queued").values(state="cancelled", reason=reason, finished_at=now())
        )

    async def start(self, resources: Resources, duties: Sequence[Periodic] = ()) -> None:
        """Recover what a crash interrupted, then run tasks on this process's event loop until `stop`."""
        await self._beat(resources)
        DBOS(config=_config(self._url, self.executor))
        for definition in self.definitions.values():
            DBOS.workflow(name=definition.name, max_recovery_attempts=1000)(_workflow(resources, definition))
        DBOS.launch()
        for queue in {definition.queue for definition in self.definitions.values()}:
            await DBOS.register_queue_async(
                queue, partition_concurrency=1, worker_concurrency=self._concurrency, polling_interval_sec=POLL_SECONDS
            )
        own = (Periodic("heartbeat", HEARTBEAT_SECONDS, self._beat), Periodic("reap", 15.0, self._reap))
        self._duties = [asyncio.create_task(self._repeat(resources, each, alone=False)) for each in own]
        self._duties += [asyncio.create_task(self._repeat(resources, each, alone=True)) for each in duties]

    async def stop(self, resources: Resources) -> None:
        """Stop taking tasks; unfinished ones go on at the next start or in another worker."""
        for duty in self._duties:
            duty.cancel()
        await asyncio.gather(*self._duties, return_exceptions=True)
        await asyncio.to_thread(DBOS.destroy, destroy_registry=True)
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())  # DBOS put its own there and closed it
        async with resources.db.write() as session:
            await session.execute(
                update(Worker).where(Worker.id == self.executor).values(seen_at=now() - timedelta(days=1))
            )

    async def close(self) -> None:
        """Let go of the connections used for queueing."""
        if self._client is not None:
            await asyncio.to_thread(self._client.destroy)
            self._client = None

    def _connected(self) -> DBOSClient:
        if self._client is None:
            raise RuntimeError("TaskEngine.prepare was not awaited")
        return self._client

    async def _repeat(self, resources: Resources, duty: Periodic, *, alone: bool) -> None:
        while True:
            try:
                if not alone or await self._hold(resources, duty):
                    await duty.run(resources)
            except Exception:
                log.exception("duty_failed", duty=duty.name)
            await asyncio.sleep(duty.seconds)

    async def _hold(self, resources: Resources, duty: Periodic) -> bool:
        """Take or keep the lease on a duty; False while another living process has it."""
        instant = now()
        until = instant + timedelta(seconds=3 * duty.seconds + 10)
        async with resources.db.write() as session:
            lease = await session.get(Lease, duty.name, with_for_update=True)
            if lease is None:
                session.add(Lease(name=duty.name, holder=self.executor, until=until))
                return True
            if lease.holder != self.executor and lease.until > instant:
                return False
            lease.holder, lease.until = self.executor, until
            return True

    async def _beat(self, resources: Resources) -> None:
        """Say that this worker lives, and take over the tasks of those that stopped saying so."""
        async with resources.db.write() as session:
            instant = now()
            mine = await session.get(Worker, self.executor)
            if mine is None and self._duties and self.executor != LOCAL_EXECUTOR:
                log.critical("worker_was_declared_dead", worker=self.executor)
                os._exit(70)  # others run its tasks already; going on would do things twice
            if mine is None:
                session.add(Worker(id=self.executor, host=socket.gethostname(), started_at=instant, seen_at=instant))
            else:
                mine.seen_at = instant
            dead = await session.scalars(
                select(Worker.id).where(Worker.seen_at < instant - timedelta(seconds=DEAD_AFTER_SECONDS))
            )
            dead_ids = [each for each in dead if each != self.executor]
        if dead_ids and self._duties:
            log.warning("taking_over", workers=dead_ids)
            await asyncio.to_thread(DBOS._recover_pending_workflows, dead_ids)  # noqa: SLF001 - the only door, see ADR 1
            async with resources.db.write() as session:
                await session.execute(delete(Worker).where(Worker.id.in_(dead_ids)))

    async def _reap(self, resources: Resources) -> None:
        """End the tasks whose workflow ended without telling: nothing stays in progress for ever."""
        async with resources.db.read() as session:
            open_tasks = (await session.scalars(select(Task).where(Task.state.not_in(FINISHED)))).all()
        for task in open_tasks:
            status = await DBOS.get_workflow_status_async(task.id)
            if status is not None and status.status in {"ENQUEUED", "PENDING", "DELAYED"}:
                continue
            reason = "Orca was interrupted while it worked on this and could not go on."
            definition = self.definitions.get(task.name)
            if definition is not None and definition.settle is not None:
                await definition.settle(resources, task.id, reason)
            await _finish(resources, task.id, "failed", reason)


async def count_active(session: AsyncSession) -> int:
    """Tasks that wait or run."""
    return await session.scalar(select(func.count()).select_from(Task).where(Task.state.not_in(FINISHED))) or 0


def system_database_url(url: URL) -> str:
    """The same database as Orca's own, with the synchronous driver that DBOS uses."""
    driver = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql+psycopg"
    return url.set(drivername=driver).render_as_string(hide_password=False)


def _config(url: str, executor: str) -> DBOSConfig:
    return {
        "name": "orca", "system_database_url": url, "executor_id": executor, "log_level": "WARNING",
        "application_version": APPLICATION_VERSION, "sys_db_pool_size": 4, "max_executor_threads": 32,
    }  # fmt: skip


def _workflow(resources: Resources, definition: TaskDefinition) -> Callable[..., Awaitable[None]]:
    async def workflow(task_id: str, payload: dict[str, Any]) -> None:
        run = TaskRun(resources, task_id)
        if not await run.step("begin", lambda: _begin(resources, task_id), deadline=60, cancellable=False):
            return
        state, reason = "succeeded", None
        try:
            await definition.run(run, payload)
        except TaskCancelled as error:
            state, reason = "cancelled", error.message
        except OrcaError as error:
            state, reason = "failed", error.message
        except Exception as error:
            log.exception("task_crashed", task=task_id, name=definition.name)
            state, reason = (
                "failed",
                f"unexpected {type(error).__name__}; the server log says more under task {task_id}",
            )
        await run.step("end", lambda: _finish(resources, task_id, state, reason), deadline=60, cancellable=False)

    workflow.__qualname__ = definition.name
    return workflow


async def _begin(resources: Resources, task_id: str) -> bool:
    """Mark as running; False when it was cancelled while it waited."""
    async with resources.db.write() as session:
        task = await session.get(Task, task_id)
        if task is None or task.state in FINISHED:
            return False
        task.state, task.started_at = "running", task.started_at or now()
        return True


async def _finish(resources: Resources, task_id: str, state: str, reason: str | None) -> None:
    async with resources.db.write() as session:
        await session.execute(
            update(Task)
            .where(Task.id == task_id, Task.state.not_in(FINISHED))
            .values(state=state, reason=reason, finished_at=now())
        )


async def _stop(working: asyncio.Future[Any]) -> None:
    """Cancel and wait until the work has really let go, for a bounded time."""
    if working.done():
        return
    working.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait({working}, timeout=STOP_SECONDS)
