"""A cancellation waits for a thread that changes something."""

import asyncio
import threading
import time

import pytest

from orca.kit.threads import run_in_thread


async def test_run_in_thread_returns_the_result():
    assert await run_in_thread(divmod, 7, 2) == (3, 1)
    assert await run_in_thread(int, "ff", base=16) == 255


async def test_run_in_thread_passes_errors_on():
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(divmod, 7, 0)


@pytest.mark.parametrize("times", [1, 3])
async def test_run_in_thread_cancelled_ends_after_the_thread(times):
    begun, ended = threading.Event(), threading.Event()

    def work():
        begun.set()
        time.sleep(0.1)
        ended.set()

    task = asyncio.create_task(run_in_thread(work))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.005)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
