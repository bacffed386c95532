"""The database: engine, declarative base, and sessions that are committed by the caller's outermost layer."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from fastapi import Depends, Request
from sqlalchemy import DDL, JSON, ColumnElement, DateTime, MetaData, String, TypeDecorator, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from orca.db.failures import DATABASE_AWAY, GONE, QUEUED, Cause, DatabaseAway, cause_of, translate
from orca.db.sqlite import open_sqlite
from orca.db.wall import LimitedSession, Reach, TeamOwned, all_teams, is_of_parent, is_of_parent_within, limit_to_team
from orca.kit.fence import check_fence
from orca.kit.ids import new_id

__all__ = [
    "DATABASE_AWAY", "Base", "Database", "DatabaseAway", "Reach", "ReadSession", "Row", "ServiceRow", "TeamOwned",
    "TeamRow", "UtcDateTime", "WriteSession", "all_teams", "index_where", "is_of_parent", "is_of_parent_within",
    "limit_to_team", "now", "unique_where",
]  # fmt: skip


_RECENT_SECONDS = 20.0
"""How long a failure explains why others get no connection: as long as the slowest wait for one lasts, twice."""


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware instant, always in UTC, on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Reject naive instants; convert to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Return UTC: SQLite does not store the zone, and PostgreSQL returns the zone of its server."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base class of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[dict[str, Any]]: JSON,
        str: String,
    }


def now() -> datetime:
    """Return the current instant in UTC, for column defaults."""
    return datetime.now(UTC)


class Row:
    """The columns that every table of a feature has: a time-sorted id and the time of creation."""

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=now)


def unique_where(table: type[Base], name: str, columns: str, condition: str) -> None:
    """Add a unique partial index that is created with the table (in tests; elsewhere a migration creates it).

    The condition is text, because SQLAlchemy's own options for it also load the dialect of the other database.
    """
    _index(table, f"CREATE UNIQUE INDEX {name} ON {table.__tablename__} ({columns}) WHERE {condition}")


def index_where(table: type[Base], name: str, columns: str, condition: str) -> None:
    """Add a partial index; see `unique_where`."""
    _index(table, f"CREATE INDEX {name} ON {table.__tablename__} ({columns}) WHERE {condition}")


def _index(table: type[Base], index: str) -> None:
    event.listen(table.__table__, "after_create", DDL(index))  # type: ignore[no-untyped-call]


class TeamRow(Row, TeamOwned):
    """A row that belongs to a team and is only read through a scope."""

    team_id: Mapped[str] = mapped_column(String(36), index=True)


class ServiceRow(TeamRow):
    """A row that belongs to a service of a team: its class has a column `service_id`."""

    service_id: Any

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the rows of the services that lie within a part of the team."""
        return reach.holds_service(cls.service_id)


class Database:
    """Two engines on SQLite (one connection for writes, several for reads), one on PostgreSQL."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.session_info: dict[str, Any] = {}
        """The `info` of every session: the event bus, to which what they record goes."""
        self._last_failure: tuple[float, Cause] | None = None
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._writer = open_sqlite(url, begin="BEGIN IMMEDIATE", pool_size=1)
            self._reader = open_sqlite(url, begin="BEGIN", pool_size=4)
        else:
            from orca.db.postgres import open_postgres  # noqa: PLC0415 - the driver's memory, which SQLite does without

            self._writer = self._reader = open_postgres(url)
        for engine in {self._writer, self._reader}:
            event.listen(engine.sync_engine, "handle_error", self._translate)

    @property
    def engine(self) -> AsyncEngine:
        """The engine for writes."""
        return self._writer

    @property
    def reader(self) -> AsyncEngine:
        """The engine for reads; on PostgreSQL the same one."""
        return self._reader

    @asynccontextmanager
    async def write(self, team_id: str | None = None) -> AsyncIterator[AsyncSession]:
        """Open a transaction that is committed at the end and rolled back on error. Use it briefly.

        With a team, it sees and changes no rows of others. In a task it is also rolled back when another worker owns
        the task by then.
        """
        async with self.open_write(team_id) as session, session.begin():
            yield session
            await check_fence(session)

    @asynccontextmanager
    async def read(self, team_id: str | None = None, reach: Reach | None = None) -> AsyncIterator[AsyncSession]:
        """Open a session for reads; with a team, it sees no rows of others, and with a reach not all of the team's.

        Its queries may see different states of the database, unlike in `snapshot`.
        """
        async with self._open(self._reader, {}, team_id, reach) as session:
            yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncSession]:
        """Open a session whose reads all see one state: in `read`, PostgreSQL shows commits between two queries."""
        async with self.read() as session:
            if self._reader.dialect.name == "postgresql":
                await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    def open_write(self, team_id: str | None = None) -> AsyncSession:
        """Open a session that the caller, the route class, commits."""
        return self._open(self._writer, self.session_info, team_id)

    def _open(
        self, engine: AsyncEngine, info: dict[str, Any], team_id: str | None, reach: Reach | None = None
    ) -> AsyncSession:
        session = AsyncSession(engine, expire_on_commit=False, info=info, sync_session_class=LimitedSession)
        if team_id is not None:
            limit_to_team(session, team_id, reach)
        return session

    def explain(self, error: BaseException) -> Cause:
        """Return why the database is unavailable, given one of DATABASE_AWAY.

        Who got no connection in time waited for others: what made one of those fail meanwhile is the better answer.
        """
        cause = cause_of(error) or GONE
        if cause is QUEUED and self._last_failure and time.monotonic() - self._last_failure[0] < _RECENT_SECONDS:
            return self._last_failure[1]
        return cause

    def _translate(self, context: ExceptionContext) -> DatabaseAway | None:
        error = translate(context)
        if error:
            self._last_failure = (time.monotonic(), error.cause)
        return error

    async def close(self) -> None:
        """Close all connections."""
        await self._writer.dispose()
        await self._reader.dispose()


async def _write_session(request: Request) -> AsyncSession:
    session: AsyncSession | None = getattr(request.state, "write_session", None)
    if session is None:
        session = request.state.write_session = request.app.state.resources.db.open_write(_team_of(request))
    return session


async def _read_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.resources.db.read(_team_of(request), request.state.reach) as session:
        yield session


def _team_of(request: Request) -> str | None:
    """Return the team whose rows the request may load; None before a sign-in."""
    team_id: str | None = request.state.team_id
    return team_id


WriteSession = Annotated[AsyncSession, Depends(_write_session)]
"""Committed by the route class after the endpoint and before the response; see `orca.web.guard`."""
ReadSession = Annotated[AsyncSession, Depends(_read_session)]
"""Sees what the subject's grants for the permission of the route cover, and of the team what belongs to all of it."""
