"""Ends outdated processes: when a newer process has migrated the database, this one finishes its work and exits."""

import asyncio

import structlog
from sqlalchemy import text

from orca.db import Database
from orca.migrations import newest_version
from orca.tasks import TaskEngine

log = structlog.get_logger("orca.outdated")
_LOOK_SECONDS = {True: 30.0, False: 5.0}
"""`True` for SQLite, on which one process runs at a time."""


async def drain_when_outdated(db: Database, engine: TaskEngine) -> None:
    """Check the version of the schema periodically, and drain the task engine when it is newer."""
    known = newest_version()
    while True:
        await asyncio.sleep(_LOOK_SECONDS[db.is_sqlite])
        try:
            async with db.read() as session:
                version = str(await session.scalar(text("SELECT max(version_num) FROM alembic_version")))
        except Exception as error:  # noqa: BLE001 - said elsewhere, where it matters
            log.debug("schema_not_read", reason=str(error))
            continue
        if version > known:
            return engine.drain(
                f"a newer Orca has brought the database up to date (its schema is {version}, this one knows {known})."
            )
