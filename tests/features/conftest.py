"""A database of its own for tests that need no application, and a browser without scripts for those that have one."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from tests.attacks.people import browser_of

from orca.db import Database
from orca.settings import Settings


@pytest.fixture
async def db(tmp_path: Path, database_url: str | None, tables_sqlite: Path) -> AsyncIterator[Database]:
    (tmp_path / "data").mkdir()
    if database_url is None:
        shutil.copy(tables_sqlite, tmp_path / "data")
    database = Database(Settings(data={"dir": tmp_path / "data"}, database_url=database_url).database)
    yield database
    await database.close()


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The owner, signed in."""
    async with browser_of(app) as signed_in:
        yield signed_in
