"""Repeats what a restart of the engine or a full disk interrupted, once the engine answers or there is space."""

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orca.errors import ProviderUnavailable
from orca.features.deployments.errors import DiskTooFull
from orca.features.deployments.steps.work import StepContext
from orca.sdk.engines import Engine, EngineFailed, EngineUnreachable
from orca.systems import LOCAL

T = TypeVar("T")

AWAY_SECONDS = 120.0
PAUSE_SECONDS = 1.0
FAILURE_SECONDS = 30.0
"""How long to repeat a request that fails while the engine answers others: the request itself may be the problem."""
FAILURE_PAUSE_SECONDS = 3.0
_FULL = {errno.ENOSPC, errno.EDQUOT}


async def retry_while_unavailable(
    work: StepContext, act: Callable[[], Awaitable[T]], system_id: str | None = None
) -> T:
    """Return the result of `act`, which must be safe to repeat. It uses the engine of the work, or of `system_id`.

    Raises EngineUnreachable, EngineFailed and DiskTooFull when the condition lasts. A cancellation ends it, also when
    an error of the cleanup has replaced the CancelledError.
    """
    began = time.monotonic()
    until, said = began + AWAY_SECONDS, ""
    while True:
        try:
            return await act()
        except (EngineUnreachable, EngineFailed) as error:
            _raise_if_cancelled(error)
            if isinstance(error, EngineUnreachable):
                work.interruptions.append(error.message)
            engine = await work.resources.systems.engine(system_id or work.system_id)
            is_well = isinstance(error, EngineFailed) and await _is_well(engine)
            if time.monotonic() >= (began + FAILURE_SECONDS if is_well else until):
                raise
            if error.message != said:
                said = error.message
                await work.log.write(f"{said} This is tried again as soon as it answers.")
            await asyncio.sleep(FAILURE_PAUSE_SECONDS if is_well else 0.0)
            await _await_answer(engine, until)
        except OSError as error:
            _raise_if_cancelled(error)
            if error.errno not in _FULL:
                raise
            if time.monotonic() >= until:
                raise DiskTooFull("the disk is full", hint="Free some disk space, then deploy again.") from error
            await work.log.write("The disk is full. This is tried again as soon as there is room.")
            await _await_room(work, until)


def _raise_if_cancelled(error: Exception) -> None:
    """Raise CancelledError in a task that is being cancelled, so that it does not start a retry."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


async def _await_room(work: StepContext, until: float) -> None:
    settings = work.resources.settings
    while time.monotonic() < until:
        await asyncio.sleep(PAUSE_SECONDS)
        usage = await work.resources.systems.measure_disk(LOCAL, str(settings.data_dir))
        if usage is None or usage.free > settings.disk.reserve_mb << 20:
            return


async def _await_answer(engine: Engine, until: float) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(PAUSE_SECONDS)
        if await _is_well(engine):
            return


async def _is_well(engine: Engine) -> bool:
    try:
        await engine.check()
    except ProviderUnavailable:
        return False
    return True
