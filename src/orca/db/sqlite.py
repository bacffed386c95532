"""SQLite: connections that finish each call, and whose waits have an end."""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import aiosqlite
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from orca.db.failures import away_when_not_prepared
from orca.kit.cancellation import put_off

_BUSY_TIMEOUT_MS = 5_000
"""How long to wait for another process, such as a backup, that writes."""
_TURN_SECONDS = 10.0
"""How long to wait for one's turn in this process."""


def open_sqlite(url: URL, *, begin: str, pool_size: int) -> AsyncEngine:
    """An engine whose transactions begin with `begin`."""
    connect = {"async_creator_fn": SteadyConnection.open}
    engine = create_async_engine(
        url, pool_size=pool_size, max_overflow=0, pool_timeout=_TURN_SECONDS, connect_args=connect
    )
    event.listen(engine.sync_engine, "connect", away_when_not_prepared(_prepare))
    event.listen(engine.sync_engine, "begin", _begin_with(begin))
    return engine


class SteadyConnection(aiosqlite.Connection):
    """Finishes each call before a cancellation is felt.

    One that arrives between a call and its answer would leave nobody knowing whether a transaction is open, and the
    only connection that writes closing for ever.
    """

    @classmethod
    def open(cls, database: str, **options: Any) -> Self:
        """A connection to be awaited. BEGIN is ours, see `_begin_with`."""
        made = cls(partial(sqlite3.connect, database, isolation_level=None, **options), iter_chunk_size=64)
        made._thread.daemon = True
        return made

    async def _connect(self) -> aiosqlite.Connection:
        return await put_off(super()._connect())

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await put_off(super()._execute(fn, *args, **kwargs))  # type: ignore[no-untyped-call]  # theirs

    async def close(self) -> None:
        """Wait for what was asked, then close."""
        await put_off(super().close())


def _prepare(connection: DBAPIConnection) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",  # first: the next one may have to wait
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
