"""PostgreSQL: every wait has a timeout, on both sides of the connection. Imported only where it is used."""

from collections.abc import Mapping
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")

_CHECKOUT_SECONDS = 10.0
_ANSWER_SECONDS = 18.0
"""The client's own timeout: a frozen server enforces no limits, while its kernel still acknowledges packets."""
LINK: Mapping[str, Any] = {
    "application_name": "orca",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""When a server, or the network path to it, counts as dead. Parameters in DATABASE_URL take precedence."""
LIMITS: Mapping[str, str] = {
    "idle_in_transaction_session_timeout": "10s",  # a frozen process holds its locks no longer than this
    "lock_timeout": "8s",
    "statement_timeout": "15s",
}
"""Limits that the server enforces; those that an administrator has set (for role or database) have priority."""
_SET = "SELECT set_config(name, value, false) FROM (VALUES {}) AS our (name, value) WHERE current_setting(name) = '0'"


class BoundedConnection(AsyncConnection[Any]):
    """Times out when a server does not answer, and closes the connection, as its state is unknown then."""

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - theirs
        """Like `AsyncConnection.wait`, with a default timeout and the connection closed after it."""
        try:
            return await super().wait(gen, interval, timeout or _ANSWER_SECONDS)
        except psycopg.OperationalError:
            if self.info.transaction_status is TransactionStatus.ACTIVE:
                await self.close()
            raise


def open_postgres(url: URL) -> AsyncEngine:
    """Create an engine for reads and writes."""
    engine = create_async_engine(
        url, pool_size=10, max_overflow=10, pool_timeout=_CHECKOUT_SECONDS, pool_pre_ping=True,
        connect_args={**link_of(url), "async_creator_fn": BoundedConnection.connect},
    )  # fmt: skip
    event.listen(engine.sync_engine, "connect", keep_limits)
    return engine


def link_of(url: URL) -> dict[str, Any]:
    """Return the connection parameters that the URL does not set itself."""
    return {name: value for name, value in LINK.items() if name not in url.query}


def keep_limits(connection: DBAPIConnection, _record: object) -> None:
    """Set LIMITS after connecting: poolers such as PgBouncer reject them in the start-up packet."""
    cursor = connection.cursor()
    cursor.execute(_SET.format(", ".join(f"('{name}', '{value}')" for name, value in LIMITS.items())))
    cursor.close()
    connection.commit()
