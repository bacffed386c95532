"""The processes that run tasks on this database: heartbeats, and leases on jobs that run in one of them at a time."""

import socket
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca import __version__
from orca.db import UtcDateTime, now
from orca.kit.fence import NotOwner
from orca.tasks.lanes import ANYTHING
from orca.tasks.rows import Lease, Worker

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER = timedelta(seconds=20)
_WORKERS_LOCK = 0x0AC5
_PROBE = "readiness-probe"


class StruckOff(NotOwner):
    """Other workers declared this process dead and took over its work."""


async def enter(session: AsyncSession, worker: str, knows: Collection[str], offers: Collection[str] = ()) -> None:
    """Register this worker as living. On SQLite, which has only one worker, all earlier ones are removed."""
    if session.get_bind().dialect.name == "sqlite":
        await session.execute(delete(Worker))
        instant = now()
    else:
        instant = await _alone(session)
    session.add(
        Worker(
            id=worker, host=socket.gethostname(), version=__version__, knows=sorted(knows), offers=sorted(offers),
            started_at=instant, seen_at=instant,
        )
    )  # fmt: skip


async def check_listed(session: AsyncSession, worker: str) -> None:
    """Raise StruckOff unless this worker is registered; a lock keeps it so until the end of the transaction."""
    listed = select(Worker.id).where(Worker.id == worker).with_for_update(read=True, key_share=True)
    if await session.scalar(listed) is None:
        raise StruckOff


async def leave(session: AsyncSession, worker: str) -> None:
    """Deregister this worker, so that others may take over its tasks and jobs at once."""
    await session.execute(delete(Worker).where(Worker.id == worker))


async def beat(session: AsyncSession, worker: str) -> None:
    """Renew this worker's heartbeat and remove workers whose heartbeat is too old; one worker at a time.

    A worker whose own heartbeat was too old removes no others: they may also have been cut off from the database, and
    get the time to return.
    """
    instant = await _alone(session)
    mine = await session.get(Worker, worker)
    if mine is None:
        raise StruckOff
    was_away = mine.seen_at < instant - DEAD_AFTER
    mine.seen_at = instant
    if not was_away:
        await session.execute(delete(Worker).where(Worker.seen_at < instant - DEAD_AFTER))


async def hold(session: AsyncSession, job: str, worker: str, *, seconds: float) -> bool:
    """Acquire or renew the lease on a job; False while another living process holds it, or is more fit to.

    Jobs look at every system, so a worker that offers only some leaves them to one that offers anything.
    """
    instant = await _alone(session)
    offers = {row.id: row.offers for row in await session.execute(select(Worker.id, Worker.offers))}
    if ANYTHING not in offers.get(worker, ()) and any(ANYTHING in other for other in offers.values()):
        return False
    lease = await session.get(Lease, job)
    until = instant + timedelta(seconds=seconds)
    if lease is None:
        session.add(Lease(name=job, holder=worker, until=until))
        return True
    lives = lease.until > instant and lease.holder in offers
    if lease.holder != worker and lives:
        return False
    lease.holder, lease.until = worker, until
    return True


async def check_holder(session: AsyncSession, job: str, worker: str) -> None:
    """Raise NotOwner when another worker holds the lease by now."""
    if await session.scalar(select(Lease.holder).where(Lease.name == job)) != worker:
        raise NotOwner


async def prove_writable(session: AsyncSession) -> None:
    """Write a row, for probes. The caller must commit: only then does a full disk cause an error."""
    instant = now()
    touch = update(Lease).where(Lease.name == _PROBE).values(until=instant).returning(Lease.name)
    if (await session.execute(touch)).first() is None:
        session.add(Lease(name=_PROBE, holder="", until=instant))


async def _alone(session: AsyncSession) -> datetime:
    """Lock out other registrations, heartbeats and leases until the transaction ends. Return the database's time."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WORKERS_LOCK})
    return (await session.scalars(select(func.clock_timestamp(type_=UtcDateTime)))).one()
