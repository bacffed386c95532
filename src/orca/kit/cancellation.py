"""Work that a cancellation must not interrupt: undoing, killing, closing."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def see_through(work: Coroutine[Any, Any, T]) -> T:
    """Wait for work that must finish; a cancellation that arrives meanwhile goes on only afterwards.

    The work needs a deadline of its own, for nothing else will end it.
    """
    task = asyncio.ensure_future(work)
    cancelled = await _await_end(task)
    if cancelled and not task.cancelled() and task.exception() is None:
        raise asyncio.CancelledError
    return task.result()


async def put_off(work: Coroutine[Any, Any, T]) -> T:
    """The result of short work, even if a cancellation arrives meanwhile: that one comes at the next await instead.

    For what would be left in an unknown state between its call and its answer. The work needs a deadline of its own.
    """
    task = asyncio.ensure_future(work)
    arrived = await _await_end(task)
    if arrived and (current := asyncio.current_task()) is not None:
        current.uncancel()  # it counts once, however often it is delivered: `asyncio.timeout` looks at the count
        current.cancel()
    return task.result()


async def _await_end(task: asyncio.Task[Any]) -> bool:
    """Wait until it is done, however it ends; True when a cancellation arrived meanwhile."""
    arrived = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            arrived = True
        except BaseException:  # noqa: BLE001 - the caller raises it, from the task itself
            break
    return arrived
