"""A database of its own for tests that need no application."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orca.db import Base, Database
from orca.settings import Settings


@pytest.fixture
async def db(tmp_path: Path, database_url: str | None) -> AsyncIterator[Database]:
    (tmp_path / "data").mkdir()
    database = Database(Settings(data={"dir": tmp_path / "data"}, database_url=database_url).database)
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield database
    await database.close()
