"""Reads the identity of database, key and data directory, written by any version of Orca."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from orca.errors import StartRefused
from orca.features.secrets.rules import place
from orca.instance.marker import Marker
from orca.instance.rules import DatabaseFacts
from orca.kit.crypto import BrokenKey, SecretBox, Undecipherable, find_key

_WITH_DATA = ("events", "users", "services")
_SEALED_TRIED = 5
DAMAGED_HINT = (
    "Put back a copy of it (docs/backup.md); keep the damaged file: `sqlite3 FILE .recover` may save some of it. "
    "Your sites go on meanwhile."
)


def find_usable_key(path: Path) -> bytes | None:
    """Return the key; None when there is none. Raises StartRefused for a file with other content."""
    try:
        return find_key(path)
    except BrokenKey as error:
        raise StartRefused(
            f"{path} is not a key: it has {error}",
            hint="Put the file back from your copy. It is never replaced: what is sealed can be read with it alone.",
        ) from None


def read_database(url: URL, key: bytes | None, marker: Marker | None) -> DatabaseFacts:
    """Read the facts of a database of any version. Raises StartRefused when it cannot be read. Blocks."""
    name = describe(url)
    if url.get_backend_name() == "sqlite" and not has_content(Path(str(url.database))):
        return DatabaseFacts(name)
    try:
        with open_database(url) as connection:
            return _read(connection, DatabaseFacts(name), key, marker)
    except OperationalError as error:
        raise StartRefused(
            f"the database {name} does not answer: {str(error.orig).strip()}",
            hint="Start it, or correct DATABASE_URL.",
        ) from None
    except DBAPIError as error:
        raise StartRefused(f"the database {name} cannot be read: {error.orig}", hint=DAMAGED_HINT) from None


def _read(connection: Connection, facts: DatabaseFacts, key: bytes | None, marker: Marker | None) -> DatabaseFacts:
    tables = set(inspect(connection).get_table_names())
    row = connection.execute(text("SELECT * FROM instance")).mappings().first() if "instance" in tables else None
    if row is not None:
        facts = replace(facts, id=row["id"], key_fingerprint=row["key_fingerprint"])
    if "events" in tables:
        seen = connection.scalar(text("SELECT hash FROM events WHERE seq = :seq"), {"seq": marker.seq if marker else 0})
        facts = replace(
            facts, last_seq=connection.scalar(text("SELECT max(seq) FROM events")) or 0,
            knows_marked=marker is None or marker.seq == 0 or seen == marker.hash,
        )  # fmt: skip
    has_data = any(
        connection.scalar(text(f"SELECT 1 FROM {table} LIMIT 1"))  # noqa: S608 - names of our own
        for table in _WITH_DATA
        if table in tables
    )
    is_sealed, opens = _try_secrets(connection, key) if "secrets" in tables else (False, False)
    return replace(facts, has_data=has_data, is_sealed=is_sealed, opens=opens)


def _try_secrets(connection: Connection, key: bytes | None) -> tuple[bool, bool]:
    """Return whether there are secrets, and whether the key decrypts one."""
    query = text("SELECT owner_type, owner_id, name, sealed FROM secrets ORDER BY id DESC LIMIT :most")
    rows = connection.execute(query, {"most": _SEALED_TRIED}).all()
    if key is None:
        return bool(rows), False
    box = SecretBox(key)
    for row in rows:
        try:
            box.unseal(bytes(row.sealed), place((row.owner_type, row.owner_id), row.name))
        except (Undecipherable, ValueError):
            continue
        return True, True
    return bool(rows), False


@contextmanager
def open_database(url: URL) -> Iterator[Connection]:
    """Open a connection without creating a file."""
    if url.get_backend_name() == "sqlite":
        address = f"file:{quote(str(url.database))}?mode=rw"
        engine = create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(address, uri=True, timeout=30), poolclass=NullPool
        )
    else:
        engine = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def describe(url: URL) -> str:
    """Describe a database URL for people, without its password."""
    return str(url.database) if url.get_backend_name() == "sqlite" else f"{url.host or 'localhost'}/{url.database}"


def has_content(path: Path) -> bool:
    """Whether there is a non-empty file."""
    return path.exists() and path.stat().st_size > 0
