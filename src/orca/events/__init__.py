"""Append-only events: audit trail, activity feed and outbox in one hash-chained table."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, Integer, Row, String, select, text
from sqlalchemy import event as sa_event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, Session, SessionTransaction, mapped_column

from orca.db import Base, Database, Reach, TeamOwned, all_teams, now
from orca.db.wall import Unindexed
from orca.errors import Forbidden
from orca.resources import Resources

Via = Literal["session", "token", "socket", "webhook", "system", "none"]
Outcome = Literal["done", "denied", "failed"]
GENESIS = "0" * 64
_CHAIN_LOCK = 0x0AC4


class Event(TeamOwned, Base):
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

    @classmethod
    def is_of_team(cls, team_id: str) -> ColumnElement[bool]:
        """Select the events of a team, and those of none: who may see these is asked where they are read."""
        team = Unindexed(cls.team_id)
        return (team == team_id) | team.is_(None)

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the events of what lies within a part of the team, and of what belongs to its services."""
        itself = Unindexed(cls.object_id).in_(reach.projects) | reach.holds_service(cls.object_id)
        is_other = cls.object_type.not_in(("project", "service"))  # only then the payload is worth reading
        of_project: ColumnElement[bool] = cls.payload["project_id"].as_string().in_(reach.projects)
        is_inside = (cls.object_type == "environment") & (Unindexed(cls.object_id).in_(reach.environments) | of_project)
        return itself | is_inside | (is_other & reach.holds_service(cls.payload["service_id"].as_string()))


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


Subscriber = Callable[[AsyncSession, Resources, Fact], Awaitable[None]]
_BUS = "event_bus"
_LEDGER = "event_ledger"


@dataclass(frozen=True, slots=True)
class EventBus:
    """The subscribers by event type, and the resources that they receive: lower features need not import upper ones."""

    resources: Resources
    subscribers: Mapping[str, Sequence[Subscriber]]

    async def publish(self, session: AsyncSession, fact: Fact) -> None:
        """Call the subscribers of a fact, in the transaction that records it."""
        for subscriber in self.subscribers.get(fact.type, ()):
            await subscriber(session, self.resources, fact)


def connect_events(db: Database, bus: EventBus) -> None:
    """Publish what the write sessions of this database record. Without a bus, facts are only stored."""
    db.session_info[_BUS] = bus


async def record(session: AsyncSession, fact: Fact) -> Event:
    """Append a fact in the caller's transaction; its subscribers are called now, its row is written at the commit.

    Until then the row has no `seq`: writing it locks the end of the chain, which no transaction does for longer than
    its commit takes.
    """
    by = origin.get()
    row = Event(
        at=now(), type=fact.type, team_id=fact.team_id, actor=by.actor, via=by.via, ip=by.ip,
        object_type=fact.object_type, object_id=fact.object_id, outcome=fact.outcome, request_id=by.request_id,
        payload=dict(fact.payload),
    )  # fmt: skip
    await session.connection()  # its transaction has begun: a rollback drops the fact, too
    await session.flush()  # what the fact is about is refused here, not at the commit
    _Ledger.of(session.sync_session).add(row)
    bus: EventBus | None = session.info.get(_BUS)
    if bus is not None:
        await bus.publish(session, fact)
    return row


class _Ledger:
    """The facts of one session that are not written yet."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: list[tuple[SessionTransaction | None, Event]] = []
        self._has_written = False
        sa_event.listen(session, "before_commit", self._write)
        sa_event.listen(session, "after_commit", self._announce)
        sa_event.listen(session, "after_soft_rollback", self._forget)

    @classmethod
    def of(cls, session: Session) -> "_Ledger":
        """Return the ledger of a session; it gets one with its first fact."""
        ledger: _Ledger = session.info.get(_LEDGER) or cls(session)
        session.info[_LEDGER] = ledger
        return ledger

    def add(self, row: Event) -> None:
        """Keep a row until the commit."""
        self._rows.append((self._session.get_nested_transaction() or self._session.get_transaction(), row))

    def _write(self, session: Session) -> None:
        """Chain the rows to the newest one, as the last statements of the transaction."""
        if not self._rows or session.in_nested_transaction():
            return
        session.flush()
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CHAIN_LOCK})
        with all_teams(session):
            previous = session.scalar(select(Event.hash).order_by(Event.seq.desc()).limit(1)) or GENESIS
        for _, row in self._rows:
            row.previous_hash = previous
            previous = row.hash = chain_hash(row)
            session.add(row)
            session.flush()  # one at a time: their numbers are in the order of the chain
        self._rows.clear()
        self._has_written = True

    def _announce(self, session: Session) -> None:
        if self._has_written and not session.in_nested_transaction():
            self._has_written = False
            notifier.announce()

    def _forget(self, _session: Session, undone: SessionTransaction) -> None:
        """Drop the facts of a transaction or savepoint that was rolled back."""
        self._rows = [(of, row) for of, row in self._rows if undone.nested and not _is_within(of, undone)]


def _is_within(transaction: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while transaction is not None:
        if transaction is outer:
            return True
        transaction = transaction.parent
    return False


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
    """A row of the chain, and whether it matches the one before it."""

    seq: int
    hash: str
    holds: bool


async def walk_chain(session: AsyncSession) -> AsyncIterator[Link]:
    """Yield every row from the first to the last, each verified against the one before it."""
    expected = GENESIS
    query = select(*Event.__table__.columns).order_by(Event.seq).execution_options(yield_per=500)
    with all_teams(session):
        rows = await session.stream(query)
    async for row in rows:
        yield Link(row.seq, row.hash, row.previous_hash == expected and chain_hash(row) == row.hash)
        expected = row.hash


class _Notifier:
    """Wakes all coroutines of this process that wait for new events."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()
        self._bells: set[asyncio.Event] = set()
        self._topics: dict[str, set[asyncio.Event]] = {}
        self.version = 0
        """How many notifications there were."""
        self.announced_at = 0.0
        """When events were committed last, by `time.monotonic`."""

    def attach(self, bell: asyncio.Event) -> None:
        """Set `bell` whenever this process has committed events, until it is detached."""
        self._bells.add(bell)

    def detach(self, bell: asyncio.Event) -> None:
        """Undo `attach`."""
        self._bells.discard(bell)

    def announce(self) -> None:
        """Notify of events that were committed."""
        self.announced_at = time.monotonic()
        for bell in self._bells:
            bell.set()
        self.notify()

    @contextmanager
    def listen(self, topic: str, bell: asyncio.Event) -> Iterator[None]:
        """Set `bell` whenever this process notifies of the topic: of progress that is not worth an event."""
        bells = self._topics.setdefault(topic, set())
        bells.add(bell)
        try:
            yield
        finally:
            bells.discard(bell)
            if not bells:
                self._topics.pop(topic, None)

    def notify(self, topic: str = "") -> None:
        """Wake all that wait, and those that listen for the topic."""
        self.version += 1
        for waiter in (*self._waiting, *self._topics.get(topic, ())):
            waiter.set()

    async def wait(self, seconds: float, *, seen_version: int | None = None) -> None:
        """Return at the next notification, or when the time is over.

        `seen_version` is what `version` was before the caller looked: if there was a notification since then, return
        at once.
        """
        if seen_version is not None and seen_version != self.version:
            return
        waiter = asyncio.Event()
        self._waiting.add(waiter)
        try:
            # `wait_for` loses a cancellation that arrives together with a notification.
            async with asyncio.timeout(seconds):
                await waiter.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(waiter)


notifier = _Notifier()
