"""A cancellation waits for what must not be interrupted, and is not forgotten."""

import asyncio

import pytest

from orca.kit.cancellation import see_through


async def test_the_result_comes_through():
    async def work():
        return 7

    assert await see_through(work()) == 7


async def test_a_failure_comes_through():
    async def work():
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await see_through(work())


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancellation_goes_on_after_the_work(times):
    done = []

    async def work():
        await asyncio.sleep(0.05)
        done.append(True)

    task = asyncio.ensure_future(see_through(work()))
    for _ in range(times):
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [True]


async def test_work_that_cancels_itself_does_not_hang():
    async def work():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(see_through(work()), 5)
