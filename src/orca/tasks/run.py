"""One run of a durable task: its steps, each stored when it is done, and the row that people see."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import DeadlineExceeded, HeldBack, OrcaError, TaskCancelled, from_stored
from orca.kit.cancellation import shield_until_done
from orca.kit.fence import NotOwner
from orca.resources import Resources
from orca.tasks.claims import Return
from orca.tasks.rows import FINISHED, Task, TaskStep

T = TypeVar("T")
log = structlog.get_logger("orca.tasks")

STOP_SECONDS = 12.0
HELD_AFTER = 2
"""After its process died this often at the same step, a task is suspected of killing it and is held back."""


class PutBack(BaseException):
    """The task gives its slot back. Not an Exception, so that no handler takes it for a failure and goes on."""

    def __init__(self, way: Return) -> None:
        super().__init__(way.because)
        self.way = way


class TaskRun:
    """One run of a task, as passed to the task's function."""

    def __init__(
        self,
        resources: Resources,
        task: Task,
        on_progress: Callable[[], None],
        enter_lane: Callable[["TaskRun", str], Awaitable[bool]],
    ) -> None:
        self.resources = resources
        self.id = task.id
        self.lane = task.lane
        """The lane of which it has a slot."""
        self.team_id = task.team_id
        self._enter_lane = enter_lane
        self._epoch = task.epoch
        self._deaths = task.recoveries
        self._on_progress = on_progress
        self._cancelled: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._memory: dict[str, dict[str, Any]] = {}
        self._passed: set[str] = set()
        if task.cancel_reason is not None:
            self.cancel(task.cancel_reason)

    async def sleep_until(self, instant: datetime, because: str) -> None:
        """Give the slot back until `instant`, when the task runs again from its first line, its steps remembered.

        To be called between steps. Meanwhile it holds its target and can be cancelled, and `because` is shown.
        """
        self._check_cancelled()
        if now() < instant:
            raise PutBack(Return(self.lane, instant, because))

    async def move_to(self, lane: str, because: str) -> None:
        """Exchange the slot for one of another lane. Where none is free, wait for it like `sleep_until` does."""
        if lane == self.lane:
            return
        self._check_cancelled()
        if not await self._enter_lane(self, lane):
            raise PutBack(Return(lane, None, because))

    def has_done(self, step: str) -> bool:
        """Whether an earlier run of this task finished a step, so that `step` only returns or raises its result."""
        return step in self._memory

    async def step(
        self, name: str, work: Callable[[], Awaitable[T]], *, deadline: float, cancellable: bool = True
    ) -> T:
        """Run `work` once: after a crash a finished step returns its stored result, an unfinished one runs again.

        `deadline` is in seconds. A cancel stops the work (its asyncio task is cancelled and awaited) and raises
        TaskCancelled; the deadline raises DeadlineExceeded. The result must be plain JSON data. Names must be unique.
        """
        if name in self._passed:
            raise ValueError(f"this task already has a step called {name}")
        self._passed.add(name)
        if name in self._memory:
            return cast("T", _answer(self._memory[name]))
        try:
            self._check_deaths(name)
            result = await self._supervise(name, work, deadline, cancellable=cancellable)
        except OrcaError as error:
            await self._remember(name, {"code": error.code, "message": error.message, "hint": error.hint})
            raise
        await self._remember(name, {"result": result})
        return result

    async def load_steps(self) -> None:
        """Load the steps that earlier runs of this task finished."""
        async with self.resources.db.read() as session:
            steps = await session.scalars(select(TaskStep).where(TaskStep.task_id == self.id))
            self._memory = {step.name: step.outcome for step in steps}
        self._passed = set()

    def cancel(self, reason: str) -> None:
        """Stop the current step, and every cancellable one after it."""
        if not self._cancelled.done():
            self._cancelled.set_result(reason)

    async def finish(self, state: str, reason: str | None) -> None:
        """Store the final state and delete the task's steps. Raises NotOwner."""
        async with self.resources.db.write() as session:
            ended = update(Task).where(Task.id == self.id, Task.state.not_in(FINISHED))
            await session.execute(ended.values(state=state, reason=reason, finished_at=now()))
            await session.execute(delete(TaskStep).where(TaskStep.task_id == self.id))

    async def check_owner(self, transaction: AsyncSession | None) -> None:
        """Raise NotOwner when another worker owns this task by now; the check that `orca.kit.fence` calls.

        The lock prevents other workers from claiming it until the transaction has ended, and blocks nothing else.
        """
        query = select(Task.epoch).where(Task.id == self.id)
        if transaction is not None:
            epoch = await transaction.scalar(query.with_for_update(read=True, key_share=True))
        else:
            async with self.resources.db.read() as session:
                epoch = await session.scalar(query)
        if epoch != self._epoch:
            raise NotOwner

    def _check_cancelled(self) -> None:
        if self._cancelled.done():
            raise TaskCancelled(self._cancelled.result())

    def _check_deaths(self, name: str) -> None:
        if self._deaths >= HELD_AFTER:
            raise HeldBack(
                f"Orca's process ended {self._deaths} times while it was at “{name}”, so this was not tried again.",
                hint="The server's log says more about these times. When what is in it can be trusted, start it again.",
            )

    async def _remember(self, name: str, outcome: dict[str, Any]) -> None:
        async with self.resources.db.write() as session:
            session.add(TaskStep(task_id=self.id, name=name, outcome=outcome))
            if self._deaths:
                await session.execute(update(Task).where(Task.id == self.id).values(recoveries=0))
        self._deaths = 0
        self._on_progress()

    async def _supervise(self, name: str, work: Callable[[], Awaitable[T]], deadline: float, *, cancellable: bool) -> T:
        if cancellable:
            self._check_cancelled()
        working = asyncio.ensure_future(work())
        watched: set[asyncio.Future[Any]] = {working, self._cancelled} if cancellable else {working}
        try:
            await asyncio.wait(watched, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
        finally:
            await _stop(name, working)
        if cancellable:
            self._check_cancelled()
        raise DeadlineExceeded(
            f"“{name}” did not finish within {deadline:g} s",
            hint="Look at the log for what it was waiting for; raise the time limit if the work is really that long.",
        )


def _answer(outcome: Mapping[str, Any]) -> Any:
    if "result" in outcome:
        return outcome["result"]
    raise from_stored(outcome["code"], outcome["message"], outcome["hint"])


async def _stop(name: str, working: asyncio.Future[Any]) -> None:
    """Cancel the work and wait, for a bounded time, until it has ended; only then let the caller be cancelled, too."""
    if working.done():
        return
    working.cancel()
    try:
        await shield_until_done(asyncio.wait({working}, timeout=STOP_SECONDS))
    finally:
        if not working.done():
            log.error("step_does_not_stop", step=name, seconds=STOP_SECONDS)
        elif not working.cancelled():
            working.exception()  # retrieve it, else asyncio logs that it was never retrieved
