"""Classifies failures of the database: whether to retry, and why. Pure; by error code, never by text."""

import sqlite3
from dataclasses import dataclass

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeout


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the database is unavailable at present, and what to do about it."""

    code: str
    message: str
    hint: str


GONE = Cause("gone", "The database does not answer.", "Check that it runs and that DATABASE_URL leads to it.")
REFUSED = Cause("refused", "The database refuses the login.", "Check user, password and database name in DATABASE_URL.")
LOCKED = Cause(
    "locked", "Another process holds the database.", "Find what keeps a transaction open, such as a backup or a shell."
)
QUEUED = Cause("queued", "Too much waits for the database.", "Something holds it up: `/api/health/ready` says what.")
SLOW = Cause("slow", "The database took too long.", "Check its load and its disk.")
FULL = Cause("full", "The disk of the database is full.", "Free some space there; what waits goes on by itself.")
READ_ONLY = Cause(
    "read-only",
    "The database takes no writes.",
    "Check the mode of its file or mount; with PostgreSQL, whether DATABASE_URL leads to the primary.",
)
CROWDED = Cause(
    "crowded", "The database has no connection left.", "Raise max_connections of PostgreSQL, or stop other clients."
)
BROKEN = Cause("broken", "The database cannot read or write its files.", "Look at its disk and at the system's log.")
DAMAGED = Cause("damaged", "The database is damaged.", "Stop Orca, keep a copy of the files, and restore a backup.")

_SQLITE = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_IOERR: BROKEN,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_CANTOPEN: GONE,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
_SQLSTATES = {
    "25006": READ_ONLY,
    "25P03": GONE,  # this process was frozen inside a transaction, and the server aborted it
    "40001": LOCKED,
    "40P01": LOCKED,
    "55P03": LOCKED,
    "57014": SLOW,
    "53100": FULL,
    "53300": CROWDED,
    "3D000": REFUSED,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}
_CLASSES = {"08": GONE, "28": REFUSED, "53": CROWDED, "57": GONE, "58": BROKEN}
_LEAVE = {GONE, READ_ONLY, CROWDED}
"""Causes after which the connection is dropped: a new one may reach a working server, as after a failover."""


class DatabaseAway(Exception):
    """The database does not answer or accepts no writes at present; the query itself is correct."""

    def __init__(self, cause: Cause, said: str = "") -> None:
        super().__init__(f"{cause.message} {said}".strip())
        self.cause = cause


DATABASE_AWAY = (DatabaseAway, PoolTimeout)
"""Errors worth a retry. PoolTimeout: all connections of this process are in use."""


def cause_of(error: BaseException) -> Cause | None:
    """Return why the database is unavailable; None if the caller's query is wrong or the database did not fail."""
    if isinstance(error, DatabaseAway):
        return error.cause
    if isinstance(error, PoolTimeout):
        return QUEUED
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        return None if code is None else _SQLITE.get(code & 0xFF)
    if not hasattr(error, "sqlstate"):
        return None
    state: str | None = error.sqlstate
    if state is None:  # raised by the driver itself: the connection is lost, or was never established
        return GONE if _is_about_connection(error) else None
    return _SQLSTATES.get(state) or _CLASSES.get(state[:2])


def _is_about_connection(error: BaseException) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}  # by name: the driver is not imported with SQLite
    return bool(names & {"OperationalError", "InterfaceError"})


def translate(context: ExceptionContext) -> DatabaseAway | None:
    """Listener for SQLAlchemy's `handle_error`: raise DatabaseAway instead, and invalidate dead connections."""
    cause = cause_of(context.original_exception)
    if cause is None or context.is_pre_ping:
        return None
    if context.dialect.name == "postgresql" and cause in _LEAVE:
        context.is_disconnect = True
    return DatabaseAway(cause, str(context.original_exception).strip().partition("\n")[0])
