"""One run of a durable task: its steps, each remembered when it is done, and the row that people see."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import JSON, ForeignKey, String, Text, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, Row, now, unique_where
from orca.errors import DeadlineExceeded, OrcaError, TaskCancelled, revive
from orca.kit.cancellation import see_through
from orca.resources import Resources

T = TypeVar("T")
log = structlog.get_logger("orca.tasks")

STOP_SECONDS = 12.0
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


class TaskLost(Exception):
    """Another worker runs this task now: this one was thought dead. Nothing of it is written down any more."""


class TaskRun:
    """One run of a task, as its function sees it."""

    def __init__(self, resources: Resources, task_id: str, worker: str) -> None:
        self.resources = resources
        self.id = task_id
        self._worker = worker
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

    async def finish(self, state: str, reason: str | None) -> None:
        """Write down how it ended, and forget its steps. Raises TaskLost."""
        async with self.resources.db.write() as session:
            await self._check_owner(session)
            ended = update(Task).where(Task.id == self.id, Task.state.not_in(FINISHED))
            await session.execute(ended.values(state=state, reason=reason, finished_at=now()))
            await session.execute(delete(TaskStep).where(TaskStep.task_id == self.id))

    async def _remember(self, name: str, outcome: dict[str, Any]) -> None:
        async with self.resources.db.write() as session:
            await self._check_owner(session)
            session.add(TaskStep(task_id=self.id, name=name, outcome=outcome))

    async def _check_owner(self, session: AsyncSession) -> None:
        owner = select(Task.worker).where(Task.id == self.id).with_for_update()
        if await session.scalar(owner) != self._worker:
            raise TaskLost

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
            await _stop(name, working)
        if cancellable and self._cancelled.done():
            raise TaskCancelled(self._cancelled.result())
        raise DeadlineExceeded(
            f"“{name}” did not finish within {deadline:g} s",
            hint="Look at the log for what it was waiting for; raise the time limit if the work is really that long.",
        )


def _answer(outcome: Mapping[str, Any]) -> Any:
    if "result" in outcome:
        return outcome["result"]
    raise revive(outcome["code"], outcome["message"], outcome["hint"])


async def _stop(name: str, working: asyncio.Future[Any]) -> None:
    """Cancel and wait until the work has really let go, for a bounded time; only then is the waiter cancelled, too."""
    if working.done():
        return
    working.cancel()
    try:
        await see_through(asyncio.wait({working}, timeout=STOP_SECONDS))
    finally:
        if not working.done():
            log.error("step_does_not_stop", step=name, seconds=STOP_SECONDS)
        elif not working.cancelled():
            working.exception()  # looked at, so that nobody misses it
