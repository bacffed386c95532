"""Cancels work at a point of one's choice, so that a test can go through all of them."""

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class CancelledAt(Generic[T]):
    """Awaits `work` and cancels the running task when it has to wait for the `point`-th time, counted from 1.

    `waits` says afterwards how often it had to wait: with a `point` beyond that, nothing was cancelled.
    """

    def __init__(self, work: Awaitable[T], point: int) -> None:
        self._work = work
        self._point = point
        self.waits = 0

    def __await__(self) -> Generator[Any, None, T]:
        frames = self._work.__await__()
        error: BaseException | None = None
        while True:
            try:
                future = frames.throw(error) if error is not None else frames.send(None)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            self.waits += 1
            if self.waits == self._point and (task := asyncio.current_task()) is not None:
                task.cancel()
            error = None
            try:
                yield future
            except BaseException as thrown:  # noqa: BLE001 - it belongs to the work
                error = thrown
