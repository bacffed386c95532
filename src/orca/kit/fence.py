"""Whether this process still owns the work that it does: asked before each effect."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

Check = Callable[[Any], Awaitable[None]]
"""Takes the transaction that is about to commit, or None before an effect outside of the database. Raises NotOwner."""
fence: ContextVar[Check | None] = ContextVar("fence", default=None)
"""Set by who runs the work; None where nobody else could do the same, as in a request."""


class NotOwner(BaseException):
    """Others do this work by now. No Exception: no step may take it for a failure of its own, and go on."""


async def check_fence(transaction: Any = None) -> None:
    """Raise NotOwner when the work that runs here belongs to another process by now."""
    check = fence.get()
    if check is not None:
        await check(transaction)
