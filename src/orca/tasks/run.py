"""One run of a durable task: its steps, each remembered when it is done, and the row that people see."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import DeadlineExceeded, HeldBack, OrcaError, TaskCancelled, revive
from orca.kit.cancellation import see_through
from orca.kit.fence import NotOwner
from orca.resources import Resources
from orca.tasks.rows import FINISHED, Task, TaskStep

T = TypeVar("T")
log = structlog.get_logger("orca.tasks")

STOP_SECONDS = 12.0
HELD_AFTER = 2
"""Deaths of its process at one and the same step, after which a task may be what kills it."""


class TaskRun:
    """One run of a task, as its function sees it."""

    def __init__(self, resources: Resources, task: Task, on_progress: Callable[[], None] = lambda: None) -> None:
        self.resources = resources
        self.id = task.id
        self._epoch = task.epoch
        self._deaths = task.recoveries
        self._on_progress = on_progress
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
            self._check_deaths(name)
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
        """Write down how it ended, and forget its steps. Raises NotOwner."""
        async with self.resources.db.write() as session:
            ended = update(Task).where(Task.id == self.id, Task.state.not_in(FINISHED))
            await session.execute(ended.values(state=state, reason=reason, finished_at=now()))
            await session.execute(delete(TaskStep).where(TaskStep.task_id == self.id))

    async def check_owner(self, transaction: AsyncSession | None) -> None:
        """Raise NotOwner when another worker has this task by now; see `orca.kit.fence`.

        The lock keeps the others from taking it until the transaction has ended, and is in nobody else's way.
        """
        query = select(Task.epoch).where(Task.id == self.id)
        if transaction is not None:
            epoch = await transaction.scalar(query.with_for_update(read=True, key_share=True))
        else:
            async with self.resources.db.read() as session:
                epoch = await session.scalar(query)
        if epoch != self._epoch:
            raise NotOwner

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
