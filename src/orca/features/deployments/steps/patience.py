"""Engines are restarted and disks fill up under deployments too: what that interrupts is done again afterwards."""

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psutil

from orca.errors import ProviderUnavailable
from orca.features.deployments.errors import DiskTooFull
from orca.features.deployments.steps.work import Work
from orca.sdk.engines import Engine, EngineAway, EngineFailed

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 1.0
FAILURE_SECONDS = 30.0
"""How long to repeat what an engine fails at that is well otherwise: it may be the request that it cannot do."""
FAILURE_PAUSE_SECONDS = 3.0
_FULL = {errno.ENOSPC, errno.EDQUOT}


async def with_patience(work: Work, act: Callable[[], Awaitable[T]]) -> T:
    """The result of `act`, which is safe to repeat.

    Raises EngineAway, EngineFailed and DiskTooFull when things stay as they are.
    """
    began = time.monotonic()
    until, said = began + PATIENCE_SECONDS, ""
    while True:
        try:
            return await act()
        except (EngineAway, EngineFailed) as error:
            if isinstance(error, EngineAway):
                work.interruptions.append(error.message)
            is_well = isinstance(error, EngineFailed) and await _is_well(work.resources.engine)
            if time.monotonic() >= (began + FAILURE_SECONDS if is_well else until):
                raise
            if error.message != said:
                said = error.message
                await work.log.write(f"{said} This is tried again as soon as it answers.")
            await asyncio.sleep(FAILURE_PAUSE_SECONDS if is_well else 0.0)
            await _await_answer(work.resources.engine, until)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            if time.monotonic() >= until:
                raise DiskTooFull("the disk is full", hint="Free some disk space, then deploy again.") from error
            await work.log.write("The disk is full. This is tried again as soon as there is room.")
            await _await_room(work, until)


async def _await_room(work: Work, until: float) -> None:
    settings = work.resources.settings
    while time.monotonic() < until:
        await asyncio.sleep(PAUSE_SECONDS)
        usage = await asyncio.to_thread(psutil.disk_usage, str(settings.data_dir))
        if usage.free > settings.disk.reserve_mb << 20:
            return


async def _await_answer(engine: Engine, until: float) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(PAUSE_SECONDS)
        if await _is_well(engine):
            return


async def _is_well(engine: Engine) -> bool:
    try:
        await engine.info()
    except ProviderUnavailable:
        return False
    return True
