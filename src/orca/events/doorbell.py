"""Processes on one PostgreSQL notify each other of new events. The table has them: a lost notice costs 2 s."""

import asyncio

import structlog
from sqlalchemy import text

from orca.db import Database
from orca.events import notifier
from orca.events.feed import POLL_SECONDS, Feed
from orca.kit.ids import new_id

log = structlog.get_logger("orca.events")

CHANNEL = "orca_events"
RING_SECONDS = 0.02
"""The least time between two notices of one process: each takes a lock of the whole server at its commit."""


async def keep_doorbell(db: Database) -> None:
    """Send notices to the other processes, and listen to theirs, until it is cancelled."""
    me = new_id()
    async with asyncio.TaskGroup() as both:
        both.create_task(_ring(db, me))
        both.create_task(_listen(db, me))


async def _ring(db: Database, me: str) -> None:
    """Notify the others after commits, in a transaction of its own, so that no commit of others waits for that lock."""
    bell = asyncio.Event()
    notifier.attach(bell)
    try:
        while True:
            await bell.wait()
            bell.clear()
            try:
                async with db.engine.begin() as connection:
                    notice = text("SELECT pg_notify(:channel, :sender)")
                    await connection.execute(notice, {"channel": CHANNEL, "sender": me})
            except Exception as error:  # noqa: BLE001 - the others look by themselves
                log.debug("notice_not_sent", reason=str(error))
            await asyncio.sleep(RING_SECONDS)
    finally:
        notifier.detach(bell)


async def _listen(db: Database, me: str) -> None:
    """Listen on a connection of its own: one of the pool would go back to it."""
    from psycopg import AsyncConnection  # noqa: PLC0415 - the driver, which SQLite does without

    from orca.db.postgres import link_of  # noqa: PLC0415

    address = db.url.set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        try:
            async with await AsyncConnection.connect(address, autocommit=True, **link_of(db.url)) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                async for notice in connection.notifies():
                    if notice.payload != me:
                        Feed.of(db).ring()
        except Exception as error:  # noqa: BLE001 - the followers look by themselves meanwhile
            log.debug("doorbell_lost", reason=str(error))
        await asyncio.sleep(POLL_SECONDS)
