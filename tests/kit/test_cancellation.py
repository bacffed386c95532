"""A cancellation waits for what must not be interrupted, and is not forgotten."""

import asyncio

import pytest

from orca.kit.cancellation import finish_then_cancel, shield_until_done


async def test_the_result_comes_through():
    async def work():
        return 7

    assert await shield_until_done(work()) == 7


async def test_a_failure_comes_through():
    async def work():
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await shield_until_done(work())


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancellation_goes_on_after_the_work(times):
    done = []

    async def work():
        await asyncio.sleep(0.05)
        done.append(True)

    task = asyncio.ensure_future(shield_until_done(work()))
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
        await asyncio.wait_for(shield_until_done(work()), 5)


async def test_a_cancellation_that_is_put_off_comes_at_the_next_await():
    seen = []

    async def work():
        seen.append(await finish_then_cancel(asyncio.sleep(0.05, "done")))
        seen.append("no await, no cancellation")
        await asyncio.sleep(1)
        seen.append("never")

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["done", "no await, no cancellation"]


async def test_a_time_limit_that_is_put_off_is_still_a_time_limit():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            assert await finish_then_cancel(asyncio.sleep(0.05, "done")) == "done"
            await asyncio.sleep(1)


async def test_a_failure_is_not_put_off():
    async def work():
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await finish_then_cancel(work())
