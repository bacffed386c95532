"""Durable consumers: each reads the events after its cursor, in order and at least once, in one process at a time.

A consumer is a periodic job that does not end, so it has what those have: one process of the cluster holds its lease,
and the fence refuses the writes of a process that has lost it. Events become visible in the order of their numbers,
because their writers take turns (`events._Ledger`): a number that is missing will never come, and none is skipped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import BigInteger, Select, String, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import DATABASE_AWAY, Base, now
from orca.events import Event
from orca.events.feed import PAUSE_SECONDS, Feed
from orca.kit.backoff import growing_pause
from orca.resources import Resources
from orca.tasks import Periodic

log = structlog.get_logger("orca.events")

BATCH = 20
"""How many events one transaction handles at most: SQLite has one writer, who must not be long."""
LEASE_SECONDS = 20.0
"""How often the lease is renewed, and others look whether it is free."""
LOOK_SECONDS = 30.0
"""How long a consumer goes without a look, when no notice of a new event comes."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)
"""Between tries while the handler raises."""
_STRIDE = 1000
"""So many events that do not concern a consumer are passed before its cursor is stored again."""

Handler = Callable[[AsyncSession, Resources, Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """What one feature reads of the events of others, outside the transactions that record them.

    `handle(session, resources, event)` is called in a transaction that also moves the cursor: what it writes there
    happens once. It must not wait for the network: it queues a task for that. When it raises, the transaction is rolled
    back and the same event comes again after a pause; later events wait for it, other consumers do not.
    """

    name: str
    """At most 40 characters; its cursor is stored under this name."""
    list_types: Callable[[], Collection[str]]
    """Returns the types of its events, such as `DeploymentFinished`; called once all features are loaded."""
    handle: Handler


class EventCursor(Base):
    """How far a consumer has read."""

    __tablename__ = "event_cursors"

    consumer: Mapped[str] = mapped_column(String(40), primary_key=True)
    last_seq: Mapped[int] = mapped_column(BigInteger)
    """The number of the last event that it is done with; 0 before the first one."""
    updated_at: Mapped[datetime]


def list_jobs(consumers: Sequence[Consumer]) -> list[Periodic]:
    """Return the periodic job of each consumer."""
    return [Periodic(f"consumer-{consumer.name}", LEASE_SECONDS, partial(consume, consumer)) for consumer in consumers]


async def consume(consumer: Consumer, resources: Resources) -> None:
    """Read events whenever there may be new ones, until this is cancelled."""
    reader = EventReader(consumer, resources)
    failures = 0
    with Feed.of(resources.db).listen() as bell:
        while True:
            bell.clear()
            try:
                is_more = await reader.read(1 if failures else BATCH)
                failures = 0
            except Exception as error:
                failures += 1
                pause = growing_pause(failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
                is_ours = not isinstance(error, DATABASE_AWAY)
                log.warning("event_not_consumed", consumer=consumer.name, reason=str(error), exc_info=is_ours)
                await asyncio.sleep(pause.total_seconds())
                continue
            if not is_more:
                await _wait(bell)


async def _wait(bell: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await bell.wait()
    except TimeoutError:
        return
    await asyncio.sleep(PAUSE_SECONDS)  # what is recorded together is handled together


class EventReader:
    """One consumer at work, and where it is."""

    def __init__(self, consumer: Consumer, resources: Resources) -> None:
        self._consumer = consumer
        self._resources = resources
        self._types = sorted(consumer.list_types())
        self._stored: int | None = None
        """Its cursor; None before it was looked up."""
        self._seen = 0
        """Up to here no event is left for it; the cursor follows at its next write."""

    async def read(self, most: int) -> bool:
        """Handle the next events, `most` at once; return whether there may be more. Raises what the handler raises."""
        if self._stored is None:
            await self._open()
        async with self._resources.db.read() as session:
            newest = await _find_newest(session)
            rows = (await session.scalars(self._select_next(newest).limit(most))).all()
            if newest < self._seen or (rows and await self._is_lost(session)):
                log.warning("events_gone_before_they_were_read", consumer=self._consumer.name, after=self._stored)
        if rows:
            return await self._handle(rows) or len(rows) == most
        self._seen = newest
        stored = self._stored or 0
        if newest < stored or newest - stored >= _STRIDE:
            await self._handle(())
        return False

    def _select_next(self, newest: int) -> Select[Any]:
        mine = select(Event).where(Event.seq > self._seen, Event.seq <= newest, Event.type.in_(self._types))
        return mine.order_by(Event.seq)

    async def _open(self) -> None:
        """Look up the cursor; that of a new consumer is the newest event, so the past is not its concern."""
        async with self._resources.db.write() as session:
            cursor = await session.get(EventCursor, self._consumer.name)
            if cursor is None:
                newest = await _find_newest(session)
                cursor = EventCursor(consumer=self._consumer.name, last_seq=newest, updated_at=now())
                session.add(cursor)
        self._stored = self._seen = cursor.last_seq

    async def _handle(self, rows: Sequence[Event]) -> bool:
        """Handle events and move the cursor in one transaction; return True when another process has moved it."""
        async with self._resources.db.write() as session:
            cursor = await session.get_one(EventCursor, self._consumer.name, with_for_update=True)
            is_mine = cursor.last_seq == self._stored
            if is_mine:
                for event in rows:
                    await self._consumer.handle(session, self._resources, event)
                cursor.last_seq, cursor.updated_at = rows[-1].seq if rows else self._seen, now()
        self._stored = self._seen = cursor.last_seq
        return not is_mine

    async def _is_lost(self, session: AsyncSession) -> bool:
        """Whether the event at the cursor is gone: others may have gone with it that were never read.

        Orca itself deletes no events: they were deleted by hand. The consumer goes on with what is there.
        """
        here = select(Event.seq).where(Event.seq == self._stored)
        return bool(self._stored) and await session.scalar(here) is None


async def _find_newest(session: AsyncSession) -> int:
    return await session.scalar(select(func.max(Event.seq))) or 0


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a consumer is behind."""

    number: int = 0
    """Of its events that it has not handled yet."""
    since: datetime | None = None
    """When the oldest of them happened."""


async def measure_lag(session: AsyncSession, consumers: Sequence[Consumer]) -> dict[str, Lag]:
    """Return by consumer how far it is behind; not at all, if it has not begun."""
    cursors = {row.consumer: row.last_seq for row in await session.scalars(select(EventCursor))}
    lag = dict.fromkeys((consumer.name for consumer in consumers), Lag())
    for consumer in consumers:
        if consumer.name in cursors:
            waiting = Event.seq > cursors[consumer.name], Event.type.in_(consumer.list_types())
            query = select(func.count(), func.min(Event.at)).where(*waiting)
            lag[consumer.name] = Lag(*(await session.execute(query)).one())
    return lag
