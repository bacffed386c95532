"""Which processes run tasks on this database: heartbeats, and leases on duties that one of them does at a time."""

import os
import socket
from datetime import datetime, timedelta

import structlog
from sqlalchemy import String, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, UtcDateTime, now

log = structlog.get_logger("orca.workers")

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER = timedelta(seconds=20)
_WORKERS_LOCK = 0x0AC5
_PROBE = "readiness-probe"


class Worker(Base):
    """A living process that runs tasks; its row is its heartbeat."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class Lease(Base):
    """Which process does a periodic duty now; it expires by itself."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(36))
    until: Mapped[datetime]


async def enter(session: AsyncSession, worker: str) -> None:
    """From now on this worker counts as living."""
    instant = await _alone(session)
    session.add(Worker(id=worker, host=socket.gethostname(), started_at=instant, seen_at=instant))


async def leave(session: AsyncSession, worker: str) -> None:
    """Others may take over its tasks and duties at once."""
    await session.execute(delete(Worker).where(Worker.id == worker))


async def beat(session: AsyncSession, worker: str) -> None:
    """Say that this worker lives, and strike off those that stopped saying so; one worker at a time.

    A worker that could not reach the database either judges nobody: the others get the time to come back, too.
    """
    instant = await _alone(session)
    mine = await session.get(Worker, worker)
    if mine is None:
        log.critical("worker_was_declared_dead", worker=worker)
        os._exit(70)  # others run its tasks already; going on would do things twice
    was_away = mine.seen_at < instant - DEAD_AFTER
    mine.seen_at = instant
    if not was_away:
        await session.execute(delete(Worker).where(Worker.seen_at < instant - DEAD_AFTER))


async def hold(session: AsyncSession, duty: str, worker: str, *, seconds: float) -> bool:
    """Take or keep the lease on a duty; False while another living process has it."""
    instant = await _alone(session)
    lease = await session.get(Lease, duty)
    until = instant + timedelta(seconds=seconds)
    if lease is None:
        session.add(Lease(name=duty, holder=worker, until=until))
        return True
    lives = lease.until > instant and await session.get(Worker, lease.holder) is not None
    if lease.holder != worker and lives:
        return False
    lease.holder, lease.until = worker, until
    return True


async def prove_writable(session: AsyncSession) -> None:
    """A write that is committed, for probes: a full disk shows itself no earlier."""
    instant = now()
    touch = update(Lease).where(Lease.name == _PROBE).values(until=instant).returning(Lease.name)
    if (await session.execute(touch)).first() is None:
        session.add(Lease(name=_PROBE, holder="", until=instant))


async def _alone(session: AsyncSession) -> datetime:
    """Nobody else enters, beats or takes a lease until the end of this transaction. The database's clock rules."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WORKERS_LOCK})
    return (await session.scalars(select(func.clock_timestamp(type_=UtcDateTime)))).one()
