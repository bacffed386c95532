"""Alembic migrations, run on SQLite and PostgreSQL at every start that finds an older schema."""

import os
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection

_LOCK = 0x0ACB
_VERSIONS = Path(__file__).parent / "versions"
_TIME_LIMIT_SECONDS = 3600
_PATIENCE_SECONDS = 300
"""How long to wait for another process that migrates the same database."""
_PAUSE_SECONDS = 0.5
_TABLE_SECONDS = 60
"""How long to wait for a table that an older process is using."""


def upgrade(url: URL) -> None:
    """Bring the schema up to date. Blocks; processes that start together wait for each other.

    Raises SystemExit when the database is newer than this version.
    """
    engine = _connect(url)
    try:
        if not _is_current(engine):
            _run_alembic(engine)
    finally:
        engine.dispose()


def upgrade_apart(url: URL) -> None:
    """The same in a process of its own when there is work: what Alembic takes in memory goes with it.

    Raises SystemExit; the reason is on the error output by then.
    """
    engine = _connect(url)
    try:
        if _is_current(engine):
            return
    finally:
        engine.dispose()
    argv = [sys.executable, "-m", "orca.migrations"]
    told = url.render_as_string(hide_password=False).encode()
    if subprocess.run(argv, input=told, timeout=_TIME_LIMIT_SECONDS, check=False).returncode != 0:
        raise SystemExit("Orca cannot start: the database could not be brought up to date; the reason is above.")


def _connect(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        from orca.db.postgres import keep_limits, link_of  # noqa: PLC0415 - the driver, which SQLite does without

        engine = create_engine(url.set(drivername="postgresql+psycopg"), connect_args=link_of(url))
        event.listen(engine, "connect", keep_limits)
        return engine
    os.close(os.open(str(url.database), os.O_CREAT | os.O_RDWR, 0o600))  # born private, journal too
    engine = create_engine(url.set(drivername="sqlite"), connect_args={"timeout": _PATIENCE_SECONDS})
    event.listen(engine, "connect", _let_transactions_be)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _let_transactions_be(connection: DBAPIConnection, _record: object) -> None:
    """The driver would commit before and after every change of a table, and a kill between two leave half of them."""
    connection.isolation_level = None


def newest_version() -> str:
    """The schema that this version of Orca writes."""
    return max(path.stem.partition("_")[0] for path in _VERSIONS.glob("0*.py"))


def _is_current(engine: Engine) -> bool:
    """Whether nothing is to be done. Raises SystemExit before a database of the future is touched."""
    newest = newest_version()
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        version = str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "")
    if version > newest:
        raise SystemExit(
            f"Orca cannot start: the database was written by a newer Orca (its schema is {version}, this one knows "
            f"{newest}). Start that version again, or restore a backup from before the upgrade."
        )
    return version == newest


def _run_alembic(engine: Engine) -> None:
    from alembic import command  # noqa: PLC0415 - ten megabytes that most starts do without
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            _wait_for_turn(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def _wait_for_turn(connection: Connection) -> None:
    """One process migrates at a time, and may take as long as it needs for each statement."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
        if time.monotonic() > until:
            raise SystemExit(
                f"Orca cannot start: another process has been migrating the database for {_PATIENCE_SECONDS} seconds. "
                "Find it in pg_stat_activity, end it if it hangs, and start again."
            )
        connection.rollback()
        time.sleep(_PAUSE_SECONDS)
    connection.execute(text("SET statement_timeout = 0"))
    connection.execute(text("SET idle_in_transaction_session_timeout = '60s'"))
    connection.execute(text(f"SET lock_timeout = '{_TABLE_SECONDS}s'"))
