"""Engines are restarted under deployments too: what that interrupts is done again once the engine answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orca.errors import ProviderUnavailable
from orca.features.deployments.steps.work import Work
from orca.sdk.engines import Engine, EngineAway

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 1.0


async def with_patience(work: Work, act: Callable[[], Awaitable[T]]) -> T:
    """The result of `act`, which is safe to repeat. Raises EngineAway when the engine stays away."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await act()
        except EngineAway as error:
            if time.monotonic() >= until:
                raise
            await work.log.write(f"{error.message} This is tried again as soon as it answers.")
            await _await_answer(work.resources.engine, until)


async def _await_answer(engine: Engine, until: float) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(PAUSE_SECONDS)
        try:
            await engine.info()
        except ProviderUnavailable:
            continue
        return
