"""An older process beside a newer one: once the database is of a newer version, it finishes its work and ends."""

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
    """Look every so often which version the schema has, and drain the task engine when it is a newer one."""
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
