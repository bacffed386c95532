"""The log of a deployment keeps secrets out, and lines in."""

import asyncio

import pytest
from tests.cancelling import CancelledAt
from tests.features.deployments.bench import Bench

from orca.db import DATABASE_AWAY, Database
from orca.features.deployments.operations.log import FLUSH_SECONDS, KEEP_TAIL, LogWriter

KEY = "-----BEGIN KEY-----\nc2VjcmV0\nb2Yga2V5\n-----END KEY-----"


@pytest.fixture
async def deployment_id(bench: Bench) -> str:
    return await bench.make_live(await bench.make_service())


async def test_a_secret_of_several_lines_is_found_in_lines_that_come_one_by_one(
    bench: Bench, deployment_id: str
) -> None:
    log = LogWriter(bench.resources.db, deployment_id, (KEY,))
    for line in ("printing the key", *KEY.splitlines(), "done"):
        await log.write(line)
        await log.flush()
    assert await bench.log_of(deployment_id) == "printing the key\n•••\n•••\n•••\n•••\ndone\n"


async def test_a_secret_is_found_where_a_long_line_is_cut(bench: Bench, deployment_id: str) -> None:
    log = LogWriter(bench.resources.db, deployment_id, ("swordfish",))
    await log.write("x" * 8185 + "swordfish and more")
    await log.flush()
    text = await bench.log_of(deployment_id)
    assert "sword" not in text
    assert len(text) == 8192 + 1


class TestAFullDisk:
    @pytest.fixture
    def database_url(self) -> None:
        """SQLite, which can be told that its disk is full."""

    async def limit(self, db: Database, pages: int) -> None:
        async with db.write() as session:
            await (await session.connection()).exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    async def test_lines_wait_for_room(self, bench: Bench, deployment_id: str) -> None:
        db, log = bench.resources.db, LogWriter(bench.resources.db, deployment_id)
        await self.limit(db, 1)
        await log.write("first " + "x" * 8000)
        for _ in range(60):
            await log.write("x" * 8000)
        await asyncio.sleep(2 * FLUSH_SECONDS)
        with pytest.raises(DATABASE_AWAY):
            await log.flush()
        await self.limit(db, 1 << 30)
        await log.write("last")
        await log.flush()
        lines = (await bench.log_of(deployment_id)).splitlines()
        assert (lines[0][:5], len(lines), lines[-1]) == ("first", 62, "last")

    async def test_not_more_than_a_mebibyte_waits(self, bench: Bench, deployment_id: str) -> None:
        db, log = bench.resources.db, LogWriter(bench.resources.db, deployment_id)
        await self.limit(db, 1)
        for number in range(300):
            await log.write(f"{number} " + "x" * 8000)
        await self.limit(db, 1 << 30)
        await log.flush()
        text = await bench.log_of(deployment_id)
        assert KEEP_TAIL - 8192 < len(text) <= KEEP_TAIL + 131_072
        assert text.splitlines()[-1].startswith("299 ")


async def test_flush_cancelled_at_any_wait_stores_its_lines_once(bench: Bench, deployment_id: str) -> None:
    """The commit may have happened by then, and who is cancelled flushes once more."""
    is_cancelled, point = True, 0
    expected = ""
    while is_cancelled:
        point += 1
        log = LogWriter(bench.resources.db, deployment_id)
        await log.write(f"line {point}")
        (outcome,) = await asyncio.gather(CancelledAt(log.flush(), point), return_exceptions=True)
        is_cancelled = isinstance(outcome, asyncio.CancelledError)
        await log.flush()
        expected += f"line {point}\n"
        assert await bench.log_of(deployment_id) == expected, point
    assert point > 2
