"""Durable consumers on both databases: in order, at least once, whatever writes, fails or dies meanwhile."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs
from tests.core.test_tasks import eventually

from orca.db import Database
from orca.events import Event, Fact, record
from orca.events.consumers import Consumer, EventCursor, EventReader, consume, list_jobs, measure_lag
from orca.resources import Resources
from orca.tasks import TaskEngine

pytestmark = pytest.mark.slow
OTHER, WANTED, HANDLED = "OtherHappened", "WantedHappened", "WantedHandled"


@dataclass
class Bench:
    """A consumer whose effect is an event of its own, written in the transaction that moves the cursor."""

    db: Database
    calls: list[int] = field(default_factory=list)
    fails: Callable[[Event], bool] = lambda _event: False

    @property
    def resources(self) -> Resources:
        nothing: Any = None
        return Resources(
            settings=nothing, db=self.db, plugins=nothing, systems=nothing, clock=nothing, secret_box=nothing,
            tasks=nothing, instance="test",
        )  # fmt: skip

    async def handle(self, session: AsyncSession, _resources: Resources, event: Event) -> None:
        self.calls.append(event.seq)
        await record(session, Fact(HANDLED, payload={"seq": event.seq}))
        await session.flush()
        if self.fails(event):
            raise ZeroDivisionError

    def consumer(self, name: str = "bench") -> Consumer:
        return Consumer(name, lambda: (WANTED,), self.handle)

    @asynccontextmanager
    async def running(self, consumer: Consumer | None = None) -> AsyncIterator[None]:
        """Run a consumer that has begun."""
        consumer = consumer or self.consumer()
        working = asyncio.create_task(consume(consumer, self.resources))
        await eventually(lambda: self.cursor(consumer.name))
        try:
            yield
        finally:
            working.cancel()
            await asyncio.wait({working})

    async def happen(self, *types: str) -> None:
        async with self.db.write() as session:
            for each in types:
                await record(session, Fact(each))

    async def numbers(self, type_: str) -> list[int]:
        async with self.db.read() as session:
            rows = (await session.scalars(select(Event).where(Event.type == type_).order_by(Event.seq))).all()
        return [int(row.payload["seq"]) if type_ == HANDLED else row.seq for row in rows]

    async def newest(self) -> int:
        async with self.db.read() as session:
            return await session.scalar(select(func.max(Event.seq))) or 0

    async def cursor(self, name: str = "bench") -> EventCursor | None:
        async with self.db.read() as session:
            return await session.get(EventCursor, name)

    async def lag(self, consumer: Consumer | None = None) -> int:
        async with self.db.read() as session:
            return sum(lag.number for lag in (await measure_lag(session, [consumer or self.consumer()])).values())

    async def are_all_handled(self) -> bool:
        return len(await self.numbers(HANDLED)) >= len(await self.numbers(WANTED))


@pytest.fixture
def bench(db: Database) -> Bench:
    return Bench(db)


async def test_consumer_that_is_new_starts_at_the_end(bench: Bench) -> None:
    await bench.happen(WANTED, WANTED)
    assert await bench.lag() == 0
    async with bench.running():
        await bench.happen(OTHER, WANTED, OTHER)
        await eventually(lambda: bench.numbers(HANDLED))
    assert bench.calls == (await bench.numbers(WANTED))[2:]


async def test_consumer_that_was_away_reads_on_from_its_cursor(bench: Bench) -> None:
    async with bench.running():
        await bench.happen(WANTED)
        await eventually(bench.are_all_handled)
    await bench.happen(*[WANTED] * 120)
    assert await bench.lag() == 120
    async with bench.running():
        await eventually(bench.are_all_handled)
    assert bench.calls == await bench.numbers(WANTED)
    assert await bench.lag() == 0


async def test_writers_at_the_same_time_hide_no_event_from_a_consumer(bench: Bench) -> None:
    async def write(number: int) -> None:
        for each in range(10):
            async with bench.db.open_write() as session:
                await record(session, Fact(WANTED))
                await asyncio.sleep(0.001 * ((number * 7 + each) % 5))
                await record(session, Fact(WANTED))
                await (session.rollback() if (number + each) % 4 == 0 else session.commit())

    async with bench.running():
        await asyncio.gather(*map(write, range(20)))
        await eventually(bench.are_all_handled, 60)
    wanted = await bench.numbers(WANTED)
    assert len(wanted) == 300
    assert bench.calls == wanted == await bench.numbers(HANDLED)


async def test_consumers_of_one_name_at_the_same_time_write_each_effect_once(bench: Bench) -> None:
    """Two processes that both think that the lease is theirs."""
    async with bench.running(), bench.running():
        for _ in range(40):
            await bench.happen(WANTED, OTHER, WANTED)
        await eventually(bench.are_all_handled, 60)
    assert await bench.numbers(HANDLED) == await bench.numbers(WANTED)


async def test_handler_that_raises_is_tried_again_and_holds_up_no_other(bench: Bench) -> None:
    other = Bench(bench.db)
    consumer = Consumer("other", lambda: (OTHER,), other.handle)
    async with bench.running(), other.running(consumer):
        await bench.happen(WANTED, WANTED, WANTED)
        await eventually(bench.are_all_handled)
        bad = await bench.newest() + 3
        bench.fails = lambda event: event.seq == bad and bench.calls.count(bad) < 3
        await bench.happen(WANTED, OTHER, WANTED)
        await eventually(lambda: _is_done(other))
        assert await bench.lag() >= 1
        await eventually(lambda: _is_caught_up(bench))
    wanted, handled = await bench.numbers(WANTED), await bench.numbers(HANDLED)
    assert [seq for seq in handled if seq in wanted] == wanted
    assert [seq for seq in handled if seq not in wanted] == await bench.numbers(OTHER)
    assert bench.calls.count(bad) == 3


async def _is_done(bench: Bench) -> bool:
    return bool(bench.calls)


async def _is_caught_up(bench: Bench) -> bool:
    return await bench.lag() == 0


async def test_events_of_others_cost_a_consumer_no_write(bench: Bench) -> None:
    async with bench.running():
        before = await bench.cursor()
        await bench.happen(*[OTHER] * 30)
        await bench.happen(WANTED)
        await eventually(bench.are_all_handled)
        after = await bench.cursor()
        await bench.happen(*[OTHER] * 30)
        await asyncio.sleep(1)
        assert (await bench.cursor()).last_seq == after.last_seq > before.last_seq
        await bench.happen(*[OTHER] * 1000)
        await eventually(lambda: _has_moved(bench, after.last_seq + 1000))


async def _has_moved(bench: Bench, to: int) -> bool:
    cursor = await bench.cursor()
    return cursor is not None and cursor.last_seq >= to


async def test_events_that_were_deleted_are_reported_and_the_rest_is_read(bench: Bench) -> None:
    reader = EventReader(bench.consumer(), bench.resources)
    await bench.happen(WANTED)
    await reader.read(10)
    await bench.happen(WANTED, WANTED, WANTED)
    first, second, *_, last = await bench.numbers(WANTED)
    async with bench.db.write() as session:
        await session.execute(delete(Event).where(Event.seq.in_((first, second))))
    with capture_logs() as logs:
        await reader.read(10)
    assert [(each["event"], each["after"]) for each in logs] == [("events_gone_before_they_were_read", first)]
    assert bench.calls == [last - 1, last]


async def test_events_whose_end_was_cut_off_are_reported_and_new_ones_are_read(bench: Bench) -> None:
    reader = EventReader(bench.consumer(), bench.resources)
    await reader.read(10)
    await bench.happen(WANTED, WANTED)
    await reader.read(10)
    first, second = await bench.numbers(WANTED)
    async with bench.db.write() as session:
        await session.execute(delete(Event).where(Event.seq > first))
    with capture_logs() as logs:
        await reader.read(10)
    assert [(each["event"], each["after"]) for each in logs] == [("events_gone_before_they_were_read", second)]
    assert (await bench.cursor()).last_seq == first
    await bench.happen(WANTED)
    await reader.read(10)
    assert bench.calls[2:] == (await bench.numbers(WANTED))[1:]


DIES = """
import asyncio, os, signal, sys
from typing import Any
from sqlalchemy.engine import make_url
from orca.db import Database
from orca.events import Fact, record
from orca.events.consumers import Consumer, consume
from orca.resources import Resources

calls = []

async def handle(session, resources, event):
    await record(session, Fact("WantedHandled", payload={"seq": event.seq}))
    await session.flush()
    calls.append(event.seq)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    db = Database(make_url(sys.argv[1]))
    n: Any = None
    resources = Resources(settings=n, db=db, plugins=n, systems=n, clock=n, secret_box=n, tasks=n, instance="test")
    await asyncio.wait_for(consume(Consumer("bench", lambda: ("WantedHappened",), handle), resources), 60)

asyncio.run(main())
"""


async def test_consumer_that_is_killed_in_its_transaction_loses_and_repeats_nothing(bench: Bench) -> None:
    async with bench.running():
        await bench.happen(WANTED)
        await eventually(bench.are_all_handled)
    await bench.happen(*[WANTED] * 130)
    url = bench.db.url.render_as_string(hide_password=False)
    for dies_at in (1, 50, 60):
        command = [sys.executable, "-c", DIES, url, str(dies_at)]
        ended = await asyncio.to_thread(subprocess.run, command, check=False, timeout=60)
        assert ended.returncode == -signal.SIGKILL
    async with bench.running():
        await eventually(bench.are_all_handled)
    assert await bench.numbers(HANDLED) == await bench.numbers(WANTED)


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_one_process_reads_for_a_consumer_until_another_takes_over(bench: Bench) -> None:
    second = Bench(bench.db)
    jobs = [replace(list_jobs([each.consumer()])[0], seconds=0.5) for each in (bench, second)]
    engines = [TaskEngine(bench.db.url, []) for _ in jobs]
    await engines[0].start(bench.resources, [jobs[0]])
    await eventually(bench.cursor)
    await engines[1].start(second.resources, [jobs[1]])
    for _ in range(10):
        await bench.happen(WANTED)
        await asyncio.sleep(0.2)
    await eventually(bench.are_all_handled)
    assert second.calls == []
    await engines[0].stop(bench.resources)
    await bench.happen(WANTED, WANTED)
    await eventually(bench.are_all_handled)
    await engines[1].stop(second.resources)
    assert [*bench.calls, *second.calls] == await bench.numbers(WANTED) == await bench.numbers(HANDLED)
    assert len(second.calls) == 2
