"""`orc migrate-database`: copies an SQLite database to an empty PostgreSQL one, completely or not at all."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Table, delete, func, insert, inspect, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from orca.db import Base
from orca.db.sequences import name_sequence
from orca.errors import OrcaError, StartRefused
from orca.events import GENESIS, Event, chain_hash
from orca.features import load_features
from orca.instance.marker import find_marker
from orca.migrations import upgrade
from orca.server.serve import only_one
from orca.settings import Settings
from orca.startup.check import KEY_FILE
from orca.startup.facts import describe, find_usable_key, open_database, read_database
from orca.startup.integrity import check_integrity
from orca.systems import LOCAL, System

_BATCH = 500
_LOCK = 0x0ACE
_LEFT_OUT = frozenset({"workers", "leases"})
"""Tables about running processes, which do not apply to another database."""


def migrate(source: URL, target: URL, settings: Settings) -> dict[str, int]:
    """Copy every table in one transaction of the target; return the rows per table. The source is only read.

    Raises StartRefused. The caller makes sure that no server runs on the source.
    """
    load_features()  # so that every table is known
    _check_source(source, settings)
    _check_target(target)
    upgrade(target)
    with open_database(source) as old, _alone(target) as new:
        _compare_schemas(old, new)
        counts = {table.name: _copy(old, new, table) for table in Base.metadata.sorted_tables}
        _verify(old, new, counts)
        new.commit()
    return counts


def _check_source(source: URL, settings: Settings) -> None:
    """Check that the source is intact and belongs to this data directory."""
    check_integrity(source, seconds=3600, full=True)
    facts = read_database(source, find_usable_key(settings.data_dir / KEY_FILE), find_marker(settings.data_dir))
    if not facts.has_data and facts.id is None:
        raise StartRefused(f"the database {facts.name} is empty or missing", hint="Nothing has to be moved.")
    if not facts.knows_marked:
        raise StartRefused(
            f"the database {facts.name} ends before an event that it had",
            hint="Restore a newer copy, or accept it with `orc adopt` first.",
        )


def _check_target(target: URL) -> None:
    facts = read_database(target, None, None)
    if facts.has_data or facts.id is not None:
        raise StartRefused(
            f"the database {facts.name} holds data already", hint="Make an empty one, and name that in the URL."
        )


@contextmanager
def _alone(target: URL) -> Iterator[Connection]:
    """Open an exclusive transaction of the target, against a second migration; it is rolled back on failure."""
    with open_database(target) as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
            raise StartRefused("another `orc migrate-database` fills this database", hint="Wait for its end.")
        tables = (table for table in Base.metadata.sorted_tables if table.name not in _LEFT_OUT)
        names = ", ".join(f'"{table.name}"' for table in tables)
        connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
        connection.execute(delete(System).where(System.id == LOCAL))  # the row that a migration adds; the source has it
        for table in Base.metadata.sorted_tables:
            if connection.execute(select(table).limit(1)).first() is not None:
                raise StartRefused(f"the table {table.name} of the target has rows already", hint="Empty it first.")
        yield connection


def _compare_schemas(old: Connection, new: Connection) -> None:
    """Check that both schemas are this version's, and that the source has no table that would not be copied."""
    version = text("SELECT version_num FROM alembic_version")
    if old.scalar(version) != new.scalar(version):
        raise StartRefused(
            "the SQLite database was written by an older Orca",
            hint="Start this version on it once (without DATABASE_URL); that brings it up to date.",
        )
    unknown = set(inspect(old).get_table_names()) - {*Base.metadata.tables, "alembic_version"}
    if unknown:
        raise StartRefused(
            f"the source has tables that Orca does not know: {', '.join(sorted(unknown))}",
            hint="Move them yourself, or drop them, and try again.",
        )


def _copy(old: Connection, new: Connection, table: Table) -> int:
    """Copy all rows in batches, in the order of their primary keys."""
    if table.name in _LEFT_OUT:
        return 0
    count = 0
    rows = old.execution_options(yield_per=_BATCH).execute(select(table).order_by(*table.primary_key.columns))
    for batch in rows.mappings().partitions(_BATCH):
        try:
            new.execute(insert(table), [dict(row) for row in batch])
        except (DBAPIError, ValueError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise StartRefused(
                f"{table.name}: PostgreSQL does not take a row: {reason}", hint="Mend it first."
            ) from None
        count += len(batch)
    _set_sequence(new, table)
    return count


def _set_sequence(new: Connection, table: Table) -> None:
    """Set the sequence of a table to continue after the last number that was copied."""
    column = table.autoincrement_column if table.autoincrement_column is not None else table.c.get("seq")
    newest = new.scalar(select(func.max(column))) if column is not None else None
    if column is None or newest is None:
        return
    names = {"table": table.name, "column": column.name}
    sequence = new.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), names)
    if sequence is None and table.c.get("seq") is not None:
        sequence = name_sequence(table.name)
    if sequence is not None:
        new.execute(text("SELECT setval(CAST(:name AS regclass), :newest)"), {"name": sequence, "newest": newest})


def _verify(old: Connection, new: Connection, counts: dict[str, int]) -> None:
    """Check that every table has as many rows, the whole audit trail is the same, and the instance is the same."""
    for table in Base.metadata.sorted_tables:
        found = new.scalar(select(func.count()).select_from(table))
        expected = 0 if table.name in _LEFT_OUT else old.scalar(select(func.count()).select_from(table))
        if not found == expected == counts[table.name]:
            raise StartRefused(f"{table.name}: {found} of {expected} rows arrived", hint="Nothing was changed.")
    if (walked := _walk(new)) != (there := _walk(old)):
        raise StartRefused(
            f"the trail of events is another one there: {walked} instead of {there}", hint="Nothing was changed."
        )


def _walk(connection: Connection) -> tuple[int, str, int | None]:
    """Return number and hash of the last event, and the first one whose hash does not match its predecessor."""
    expected, seq, broken = GENESIS, 0, None
    rows = connection.execution_options(yield_per=_BATCH).execute(select(*Event.__table__.columns).order_by(Event.seq))
    for row in rows:
        if broken is None and (row.previous_hash != expected or chain_hash(row) != row.hash):
            broken = int(row.seq)
        expected, seq = row.hash, int(row.seq)
    return seq, expected, broken


def main() -> None:
    """Entry of `python -m orca.server.migrate`."""
    settings = Settings()
    source, target = URL.create("sqlite", database=str(settings.data_dir / "orc.db")), settings.database
    if target.get_backend_name() != "postgresql":
        raise SystemExit(
            "nothing was moved: DATABASE_URL does not name a PostgreSQL database.\n"
            "Set it to the empty database that Orca should use from now on: postgresql://user:password@host/name."
        )
    try:
        with only_one(settings.data_dir):
            counts = migrate(source, target, settings)
    except OrcaError as error:
        raise SystemExit(f"nothing was moved: {error.message}\n{error.hint}") from None
    tables = sum(1 for count in counts.values() if count)
    sys.stdout.write(
        f"{sum(counts.values())} rows of {tables} tables are in {describe(target)} now, and were compared.\n"
        f"Start Orca with this DATABASE_URL. Keep {source.database} until you have seen that all is there.\n"
    )


if __name__ == "__main__":
    main()
