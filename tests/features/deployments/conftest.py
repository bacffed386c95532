"""A database, an engine and a proxy in memory, and tasks that run in this process."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.features.deployments.bench import Bench, TroubledHost
from tests.open_systems import OpenSystems

from orca.db import Database
from orca.features import connect_subscribers
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
    tasks = TaskEngine(db.url, TASKS)
    resources = Resources(
        settings=Settings(data={"dir": tmp_path / "data"}), db=db, plugins=Plugins(),
        systems=OpenSystems(containers=TroubledHost(["app:1", "app:2"]), proxy=FakeProxy()),
        clock=SystemClock(), secret_box=SecretBox(os.urandom(32)), tasks=tasks, instance="test",
    )  # fmt: skip
    connect_subscribers(db, resources)
    yield Bench(resources)
    await tasks.stop(resources)
