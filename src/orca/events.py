"""Append-only facts: audit trail, activity feed and outbox in one hash-chained row."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, Integer, Row, String, select, text
from sqlalchemy import event as sa_event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, Session, mapped_column

from orca.db import Base, Database, now
from orca.errors import Forbidden

Via = Literal["session", "token", "socket", "webhook", "system", "none"]
Outcome = Literal["done", "denied", "failed"]
GENESIS = "0" * 64
_CHAIN_LOCK = 0x0AC4


class Event(Base):
    """One fact. `seq` has no meaning but order."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    type: Mapped[str] = mapped_column(String(64), index=True)
    team_id: Mapped[str | None] = mapped_column(String(36), index=True)
    actor: Mapped[str] = mapped_column(String(255))
    via: Mapped[str] = mapped_column(String(16))
    ip: Mapped[str | None] = mapped_column(String(45))
    object_type: Mapped[str | None] = mapped_column(String(32))
    object_id: Mapped[str | None] = mapped_column(String(64), index=True)
    outcome: Mapped[str] = mapped_column(String(8))
    request_id: Mapped[str | None] = mapped_column(String(36))
    payload: Mapped[dict[str, Any]]
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who caused what happens now, through which door, and what they may do."""

    actor: str = "orca"
    via: Via = "system"
    ip: str | None = None
    request_id: str | None = None
    user_id: str | None = None
    permissions: frozenset[str] | None = None
    """None: Orca itself, which may do everything."""

    def may(self, permission: str) -> bool:
        """Whether the subject has a permission in the team that this happens in."""
        return self.permissions is None or permission in self.permissions

    def check_may(self, permission: str, what: str) -> None:
        """Raise Forbidden when what happens on this subject's behalf needs a permission that it has not."""
        if not self.may(permission):
            raise Forbidden(
                f"{what} needs the permission {permission}, which {self.actor} does not have.",
                hint="Ask an owner of the team to do it, or for a role or token that has it.",
            )


_SYSTEM = Origin()
origin: ContextVar[Origin] = ContextVar("origin", default=_SYSTEM)
"""Set once by the door (route class, task, hook); read by `record`."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What happened, in the past tense: `ServiceCreated`. The payload never holds secrets."""

    type: str
    team_id: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = "done"


Subscriber = Callable[[AsyncSession, Fact], Awaitable[None]]
_subscribers: dict[str, list[Subscriber]] = {}


def subscribe(fact_type: str, subscriber: Subscriber) -> None:
    """Call `subscriber` inside the transaction that records such a fact: news goes up without imports."""
    listeners = _subscribers.setdefault(fact_type, [])
    if subscriber not in listeners:
        listeners.append(subscriber)


async def record(session: AsyncSession, fact: Fact) -> Event:
    """Append a fact in the caller's transaction, linked to the one before it."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CHAIN_LOCK})
    previous = await session.scalar(select(Event.hash).order_by(Event.seq.desc()).limit(1))
    by = origin.get()
    row = Event(
        at=now(), type=fact.type, team_id=fact.team_id, actor=by.actor, via=by.via, ip=by.ip,
        object_type=fact.object_type, object_id=fact.object_id, outcome=fact.outcome, request_id=by.request_id,
        payload=dict(fact.payload), previous_hash=previous or GENESIS,
    )  # fmt: skip
    row.hash = chain_hash(row)
    session.add(row)
    await session.flush()
    sa_event.listen(session.sync_session, "after_commit", _wake, once=True)
    for subscriber in _subscribers.get(fact.type, []):
        await subscriber(session, fact)
    return row


def chain_hash(row: Event | Row[Any]) -> str:
    """SHA-256 over the previous hash and the canonical JSON of everything else."""
    body = {
        "at": row.at.isoformat(), "type": row.type, "team": row.team_id, "actor": row.actor, "via": row.via,
        "ip": row.ip, "object": [row.object_type, row.object_id], "outcome": row.outcome,
        "request": row.request_id, "payload": row.payload,
    }  # fmt: skip
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((row.previous_hash + canonical).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Link:
    """A row of the chain, and whether it follows from the one before it."""

    seq: int
    hash: str
    holds: bool


async def walk_chain(session: AsyncSession) -> AsyncIterator[Link]:
    """Every row from the first to the last, each proven against the one before it."""
    expected = GENESIS
    rows = await session.stream(select(*Event.__table__.columns).order_by(Event.seq).execution_options(yield_per=500))
    async for row in rows:
        yield Link(row.seq, row.hash, row.previous_hash == expected and chain_hash(row) == row.hash)
        expected = row.hash


class _Bell:
    """Wakes everybody who waits for news in this process."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()
        self.rung = 0
        """How often so far."""

    def ring(self) -> None:
        self.rung += 1
        for waiter in self._waiting:
            waiter.set()

    async def wait(self, seconds: float, *, heard: int | None = None) -> None:
        """Until the bell rings or the time is over.

        `heard` is what `rung` was before the caller looked: what rang while it looked is then not waited for again.
        """
        if heard is not None and heard != self.rung:
            return
        waiter = asyncio.Event()
        self._waiting.add(waiter)
        try:
            await asyncio.wait_for(waiter.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(waiter)


bell = _Bell()


def _wake(_session: Session) -> None:
    bell.ring()


async def follow(db: Database, *, after: int, team_id: str | None, poll: float = 2.0) -> AsyncIterator[Event]:
    """Facts of a team from `after` on, as they are committed: at once in this process, within `poll` s of another."""
    while True:
        async with db.read() as session:
            query = select(Event).where(Event.seq > after).order_by(Event.seq).limit(200)
            rows = (await session.scalars(query if team_id is None else query.where(Event.team_id == team_id))).all()
        for row in rows:
            after = row.seq
            yield row
        if not rows:
            await bell.wait(poll)
