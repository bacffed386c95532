"""Sessions under cancellation: whatever is interrupted, the next transaction gets its turn."""

import asyncio
import random
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from orca.db import Database

pytestmark = pytest.mark.slow

ROUNDS = 400
A_WRITE_TAKES_LESS_SECONDS = 5


async def write(db: Database, number: int) -> None:
    async with db.write() as session:
        await session.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})
        await asyncio.sleep(0)
        await session.execute(text("SELECT count(*) FROM numbers"))


async def test_a_cancellation_at_any_moment_of_a_write_leaves_a_database_that_can_be_written(tmp_path: Path) -> None:
    db = Database(make_url(f"sqlite+aiosqlite:///{tmp_path}/orc.db"))
    async with db.write() as session:
        await session.execute(text("CREATE TABLE numbers (number INTEGER)"))
    moment = random.Random(2)
    for number in range(ROUNDS):
        writing = [asyncio.create_task(write(db, number)) for _ in range(2)]
        await asyncio.sleep(moment.random() * 0.012)
        for each in writing:
            each.cancel()
        done, pending = await asyncio.wait(writing, timeout=A_WRITE_TAKES_LESS_SECONDS)
        assert not pending, f"the writer of round {number} never came back"
        assert all(each.cancelled() or each.exception() is None for each in done)
    async with asyncio.timeout(A_WRITE_TAKES_LESS_SECONDS):
        await write(db, -1)
    async with db.read() as session:
        rows = await session.execute(text("SELECT number, count(*) FROM numbers GROUP BY number HAVING count(*) > 2"))
        assert rows.all() == []
    await db.close()
