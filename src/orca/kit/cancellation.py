"""Protects work that a cancellation must not interrupt: undoing, killing, closing."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def shield_until_done(work: Coroutine[Any, Any, T]) -> T:
    """Wait for work that must finish; a cancellation that arrives meanwhile is raised only afterwards.

    The work needs its own deadline, because nothing else will end it.
    """
    task = asyncio.ensure_future(work)
    cancelled = await _await_end(task)
    if cancelled and not task.cancelled() and task.exception() is None:
        raise asyncio.CancelledError
    return task.result()


async def finish_then_cancel(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of short work, even if a cancellation arrives meanwhile: that is raised at the next await.

    For calls that would leave an unknown state if their result were lost. The work needs its own deadline.
    """
    task = asyncio.ensure_future(work)
    arrived = await _await_end(task)
    if arrived and (current := asyncio.current_task()) is not None:
        current.uncancel()  # counted once, however often it is delivered: `asyncio.timeout` checks the count
        current.cancel()
    return task.result()


async def _await_end(task: asyncio.Task[Any]) -> bool:
    """Wait until the task is done, regardless of its result; True when a cancellation arrived meanwhile."""
    arrived = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            arrived = True
        except BaseException:  # noqa: BLE001 - the caller raises it, from the task itself
            break
    return arrived
