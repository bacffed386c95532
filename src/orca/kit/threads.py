"""Runs blocking work in a thread, for whose end a cancellation waits."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from orca.kit.cancellation import shield_until_done

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `asyncio.to_thread`, for work that changes something: a cancellation is raised only when it has ended.

    A thread cannot be cancelled. `to_thread` returns at once and leaves it running, concurrently with the code that
    undoes its effect, removes its folder or closes its file descriptor.
    """
    return await shield_until_done(asyncio.to_thread(work, *args, **kwargs))
