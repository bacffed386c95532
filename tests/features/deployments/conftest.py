"""A database, an engine and a proxy in memory, and tasks that run in this process."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.features.deployments.bench import Bench, TroubledEngine

import orca.features.sources.models  # noqa: F401 - all tables of the test database
from orca.db import Database
from orca.features.deployments.tasks import TASKS
from orca.kit.clock import SystemClock
from orca.kit.crypto import SecretBox
from orca.plugins import Plugins
from orca.resources import Resources
from orca.sdk.testing.fake_proxy import FakeProxy
from orca.settings import Settings
from orca.tasks import TaskEngine


@pytest.fixture
async def bench(db: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    nothing: Any = None
    tasks = TaskEngine(db.url, TASKS, concurrency=8)
    resources = Resources(
        settings=Settings(data={"dir": tmp_path / "data"}), db=db, plugins=Plugins(), connector=nothing,
        engine=TroubledEngine(["app:1", "app:2"]), proxy=FakeProxy(), builders={}, http=nothing, clock=SystemClock(),
        secret_box=SecretBox(os.urandom(32)), tasks=tasks, instance="test", build_slots=asyncio.Semaphore(2),
    )  # fmt: skip
    db.session_info["resources"] = resources
    yield Bench(resources)
    await tasks.stop(resources)
