"""A database, a project with a service, and a proxy that does what a test tells it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.features.routing import bench
from tests.features.routing.authority import authority, believed  # noqa: F401 - fixtures
from tests.features.routing.bench import ScriptedProxy
from tests.features.routing.nameserver import name_server  # noqa: F401 - a fixture
from tests.open_systems import OpenSystems

from orca.db import Database
from orca.features import connect_subscribers
from orca.features.services.models import Service
from orca.kit.clock import SystemClock
from orca.kit.crypto import SecretBox
from orca.kit.ids import new_id
from orca.plugins import Plugins
from orca.resources import Resources
from orca.settings import Settings


@pytest.fixture
def proxy() -> ScriptedProxy:
    return ScriptedProxy()


class Waiting:
    """A queue whose tasks are never run: other features may subscribe to what happens here."""

    async def enqueue(self, *_: object, **__: object) -> str:
        return new_id()

    async def cancel(self, *_: object) -> None:
        return None


@pytest.fixture
def make_resources(db: Database, proxy: ScriptedProxy, tmp_path: Path) -> Callable[..., Resources]:
    def make(**settings: Any) -> Resources:
        resources = Resources(
            settings=Settings(data={"dir": tmp_path / "data"}, **settings), db=db, plugins=Plugins(),
            systems=OpenSystems(proxy=proxy), clock=SystemClock(),
            secret_box=SecretBox(os.urandom(32)), tasks=Waiting(), instance="test",
        )  # fmt: skip
        connect_subscribers(db, resources)
        return resources

    return make


@pytest.fixture
def resources(make_resources: Callable[..., Resources]) -> Resources:
    return make_resources()


@pytest.fixture
async def service(db: Database) -> Service:
    return await bench.make_service(db)


@pytest.fixture
async def foreign(db: Database) -> Service:
    """A service of another team."""
    return await bench.make_service(db, team=bench.OTHER_TEAM, project="other")
