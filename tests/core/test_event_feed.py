"""Events on both databases: written at the commit, chained, and read once for all who follow."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import event, func, select
from tests.core.test_tasks import eventually

from orca.db import Database
from orca.events import Event, Fact, record, walk_chain
from orca.events.doorbell import keep_doorbell
from orca.events.feed import Feed, follow

pytestmark = pytest.mark.slow
PAGES, SECONDS = 500, 6


async def happen(db: Database, *names: str, team_id: str | None = None) -> None:
    async with db.write() as session:
        for name in names:
            await record(session, Fact(name, team_id))


async def names_of(db: Database) -> list[str]:
    async with db.read() as session:
        assert [link.seq async for link in walk_chain(session) if not link.holds] == []
        return list(await session.scalars(select(Event.type).order_by(Event.seq)))


async def take(events: AsyncIterator[Event], number: int) -> list[str]:
    async with asyncio.timeout(60):
        return [(await anext(events)).type for _ in range(number)]


async def test_facts_of_a_transaction_are_written_at_its_end_in_their_order(db: Database) -> None:
    async with db.write() as session:
        rows = [await record(session, Fact(name)) for name in ("A", "B", "C")]
        assert await session.scalar(select(func.count()).select_from(Event)) == 0
    assert [row.seq for row in rows] == sorted(row.seq for row in rows)
    assert await names_of(db) == ["A", "B", "C"]


async def test_what_is_rolled_back_has_not_happened(db: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.write() as session:
            await record(session, Fact("Never"))
            raise ZeroDivisionError
    async with db.write() as session:
        await record(session, Fact("Before"))
        with pytest.raises(ZeroDivisionError):
            async with session.begin_nested():
                await record(session, Fact("Undone"))
                raise ZeroDivisionError
        async with session.begin_nested():
            await record(session, Fact("Inside"))
        await record(session, Fact("After"))
    async with db.open_write() as session:
        await record(session, Fact("Never"))
        await session.rollback()
        await record(session, Fact("Again"))
        await session.commit()
    assert await names_of(db) == ["Before", "Inside", "After", "Again"]


async def test_writers_at_the_same_time_make_one_chain(db: Database) -> None:
    await asyncio.gather(*(happen(db, f"N{number}", f"M{number}") for number in range(30)))
    names = await names_of(db)
    assert len(names) == 60
    assert all(names[index][1:] == names[index + 1][1:] for index in range(0, 60, 2))


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_long_transaction_with_a_fact_holds_up_no_other(db: Database) -> None:
    async with asyncio.timeout(5), db.write() as session:
        await record(session, Fact("Long"))
        await happen(db, "Short")
    assert await names_of(db) == ["Short", "Long"]


async def test_many_followers_cost_what_one_costs(db: Database) -> None:
    queries: list[str] = []
    event.listen(
        db.reader.sync_engine, "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: queries.append(statement),
    )  # fmt: skip
    streams = [follow(db, after=0, team_id=f"team-{number % 5}") for number in range(PAGES)]
    reading = [asyncio.create_task(take(each, SECONDS)) for each in streams]

    async def has_each_read_what_is_stored() -> bool:
        return sum("events.team_id =" in each for each in queries) == PAGES

    await eventually(has_each_read_what_is_stored, seconds=60)
    queries.clear()
    began = time.monotonic()
    for number in range(SECONDS):
        for _ in range(4):
            await asyncio.sleep(0.25)
            await happen(db, "Other", team_id="team-9")
        for team in range(5):
            await happen(db, f"N{number}", team_id=f"team-{team}")
    expected = [f"N{number}" for number in range(SECONDS)]
    assert all(each == expected for each in await asyncio.gather(*reading))
    looks = [each for each in queries if "FROM events" in each and "events.seq >" in each]
    assert len(looks) <= 5 * (time.monotonic() - began + 1)
    for each in streams:
        await each.aclose()


async def test_a_follower_gets_what_was_stored_before_and_what_comes_each_once(db: Database) -> None:
    await happen(db, "A", "B", team_id="t")
    await happen(db, "Theirs", team_id="other")
    events, everything = follow(db, after=0, team_id="t"), follow(db, after=1, team_id=None)
    assert await take(events, 2) == ["A", "B"]
    await happen(db, "C", team_id="t")
    assert await take(events, 1) == ["C"]
    assert await take(everything, 3) == ["B", "Theirs", "C"]
    await events.aclose()
    await everything.aclose()


async def test_a_slow_follower_reads_from_the_database_what_it_missed(db: Database) -> None:
    await happen(db, "First", team_id="t")
    events = follow(db, after=0, team_id="t")
    assert await take(events, 1) == ["First"]
    names = [f"N{number}" for number in range(1300)]
    await happen(db, *names, team_id="t")
    await asyncio.sleep(1)
    assert await take(events, len(names)) == names
    await events.aclose()


OTHER_PROCESS = """
import asyncio, sys
from sqlalchemy.engine import make_url
from orca.db import Database
from orca.events import Fact, record
from orca.events.doorbell import keep_doorbell

async def main():
    db = Database(make_url(sys.argv[1]))
    ringing = asyncio.create_task(keep_doorbell(db))
    await asyncio.sleep(0.2)
    async with db.write() as session:
        await record(session, Fact("Elsewhere"))
    await asyncio.sleep(1)
    ringing.cancel()
    await asyncio.wait({ringing})
    await db.close()

asyncio.run(main())
"""


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_another_process_rings_when_it_has_committed_events(db: Database) -> None:
    Feed(db, poll=3600).serve()  # only a ring makes it look
    listening = asyncio.create_task(keep_doorbell(db))
    events = follow(db, after=0, team_id=None)
    reading = asyncio.create_task(take(events, 1))
    await asyncio.sleep(2)
    url = db.url.render_as_string(hide_password=False)
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", OTHER_PROCESS, url], check=True, timeout=60)
    assert await reading == ["Elsewhere"]
    await events.aclose()
    listening.cancel()
    await asyncio.wait({listening})
