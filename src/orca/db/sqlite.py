"""SQLite: connections that finish each call before a cancellation, and whose waits have a timeout."""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import aiosqlite
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from orca.kit.cancellation import finish_then_cancel

_BUSY_TIMEOUT_MS = 5_000
"""How long to wait for another process that holds the write lock, such as a backup."""
_TURN_SECONDS = 10.0
"""How long to wait for a connection that another task of this process uses."""


def open_sqlite(url: URL, *, begin: str, pool_size: int) -> AsyncEngine:
    """Create an engine whose transactions begin with `begin`."""
    connect = {"async_creator_fn": SteadyConnection.open}
    engine = create_async_engine(
        url, pool_size=pool_size, max_overflow=0, pool_timeout=_TURN_SECONDS, connect_args=connect
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin_with(begin))
    return engine


class SteadyConnection(aiosqlite.Connection):
    """Finishes each call before a cancellation takes effect.

    A cancellation between a call and its result would leave it unknown whether a transaction is open, and the only
    connection for writes in a close that never ends.
    """

    @classmethod
    def open(cls, database: str, **options: Any) -> Self:
        """Return an awaitable connection. The driver emits no BEGIN of its own; `_begin_with` does."""
        made = cls(partial(sqlite3.connect, database, isolation_level=None, **options), iter_chunk_size=64)
        made._thread.daemon = True
        return made

    async def _connect(self) -> aiosqlite.Connection:
        return await finish_then_cancel(super()._connect())

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await finish_then_cancel(super()._execute(fn, *args, **kwargs))  # type: ignore[no-untyped-call]  # theirs

    async def close(self) -> None:
        """Close the connection, even if a cancellation arrives meanwhile."""
        await finish_then_cancel(super().close())


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",  # first, because the next pragma may have to wait for a lock
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_with(statement: str) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin
