"""Checks before each side effect whether this process still owns the work that it does."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

Check = Callable[[Any], Awaitable[None]]
"""Called with the transaction to be committed, or None before a side effect elsewhere. Raises NotOwner."""
fence: ContextVar[Check | None] = ContextVar("fence", default=None)
"""Set by the runner of the work; None where no other process could do the same work, as in a request."""


class NotOwner(BaseException):
    """Another process owns this work by now. Not an Exception, so that no step handles it as a failure and goes on."""


async def check_fence(transaction: Any = None) -> None:
    """Raise NotOwner when the current work belongs to another process by now."""
    check = fence.get()
    if check is not None:
        await check(transaction)
