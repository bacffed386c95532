"""The database: engine, declarative base, and sessions whose commit happens at the edge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from fastapi import Depends, Request
from sqlalchemy import DDL, JSON, DateTime, MetaData, String, TypeDecorator, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from orca.db.failures import DATABASE_AWAY, DatabaseAway, cause_of, translate
from orca.db.sqlite import open_sqlite
from orca.kit.fence import check_fence
from orca.kit.ids import new_id

__all__ = [
    "DATABASE_AWAY", "Base", "Database", "DatabaseAway", "ReadSession", "Row", "TeamRow", "UtcDateTime",
    "WriteSession", "cause_of", "now", "unique_where",
]  # fmt: skip


class UtcDateTime(TypeDecorator[datetime]):
    """An instant that is always aware and always UTC, on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Refuse naive instants; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """SQLite forgets the zone, which was UTC; PostgreSQL answers in the zone of its server."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables."""

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
    """The current instant in UTC, for column defaults."""
    return datetime.now(UTC)


class Row:
    """What every table of a feature has: a time-sorted id and its birth."""

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=now)


def unique_where(table: type[Base], name: str, columns: str, condition: str) -> None:
    """Make a unique partial index with the table (in tests; a migration makes it elsewhere).

    As text, because SQLAlchemy's own word for it loads the dialect of the other database, too.
    """
    index = f"CREATE UNIQUE INDEX {name} ON {table.__tablename__} ({columns}) WHERE {condition}"
    event.listen(table.__table__, "after_create", DDL(index))  # type: ignore[no-untyped-call]


class TeamRow(Row):
    """A row that belongs to a team, and is only ever read through a scope."""

    team_id: Mapped[str] = mapped_column(String(36), index=True)


class Database:
    """Two engines on SQLite (one connection writes, several read), one on PostgreSQL."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.session_info: dict[str, Any] = {}
        """Given to every session; event subscribers find the process's resources here."""
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._writer = open_sqlite(url, begin="BEGIN IMMEDIATE", pool_size=1)
            self._reader = open_sqlite(url, begin="BEGIN", pool_size=4)
        else:
            from orca.db.postgres import open_postgres  # noqa: PLC0415 - the driver's memory, which SQLite does without

            self._writer = self._reader = open_postgres(url)
        for engine in {self._writer, self._reader}:
            event.listen(engine.sync_engine, "handle_error", translate)

    @property
    def engine(self) -> AsyncEngine:
        """The engine that may write."""
        return self._writer

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction of one's own: committed at the end, rolled back on error. Keep it short.

        In a task it is rolled back, too, when another worker has the task by then.
        """
        async with self.open_write() as session, session.begin():
            yield session
            await check_fence(session)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A snapshot to read from."""
        async with AsyncSession(self._reader, expire_on_commit=False) as session:
            yield session

    def open_write(self) -> AsyncSession:
        """A session whose commit is up to the caller: the route class."""
        return AsyncSession(self._writer, expire_on_commit=False, info=self.session_info)

    async def close(self) -> None:
        """Close all connections."""
        await self._writer.dispose()
        await self._reader.dispose()


async def _write_session(request: Request) -> AsyncSession:
    session: AsyncSession | None = getattr(request.state, "write_session", None)
    if session is None:
        session = request.state.write_session = request.app.state.resources.db.open_write()
    return session


async def _read_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.resources.db.read() as session:
        yield session


WriteSession = Annotated[AsyncSession, Depends(_write_session)]
"""Committed by the route class after the endpoint and before the response; see `orca.web.guard`."""
ReadSession = Annotated[AsyncSession, Depends(_read_session)]
