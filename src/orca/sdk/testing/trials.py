"""What the suites of engines and of container hosts share: how long something may take, and waiting for a state."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from orca.sdk.workloads import Observation

STOPPED_SOON: Final = 15.0
"""Seconds within which a deadline or a cancellation must have ended what ran."""
_SETTLED = 20.0
"""Seconds within which what was started reaches a state."""
Seen = TypeVar("Seen", bound=Observation)


async def reach_state(look: Callable[[], Awaitable[Sequence[Seen]]], name: str, *states: str) -> Seen:
    """Look until what has this name is in one of the states, and return it. Raises TimeoutError."""
    async with asyncio.timeout(_SETTLED):
        while True:
            found = [seen for seen in await look() if seen.name == name and seen.state in states]
            if found:
                return found[0]
            await asyncio.sleep(0.05)


async def ignore(_line: str) -> None:
    """Progress that is discarded."""
