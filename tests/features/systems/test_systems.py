"""Systems as administrators of the instance see them: what answers, what does not, and since when."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import update
from tests.attacks.people import add_person, add_token, local_client
from tests.conftest import client_of
from tests.open_systems import exchange

from orca.errors import NotFound
from orca.features.systems.queries import LastInspection, view_system, view_systems
from orca.resources import Resources
from orca.sdk.containers import HostInfo
from orca.sdk.engines import EngineUnreachable
from orca.sdk.testing.fake_host import FakeHost
from orca.systems import LOCAL, System


class Described(FakeHost):
    """Says what it is, unless it is away."""

    is_away = False
    asked = 0

    async def info(self) -> HostInfo:
        self.asked += 1
        if self.is_away:
            raise EngineUnreachable("Docker does not answer.", hint="Start it.")
        return HostInfo("20.10", "1.41", "/", 4, 8 << 30, "x86_64")


@pytest.fixture
def host() -> Described:
    return Described([])


@pytest.fixture
def resources(app: FastAPI, host: Described) -> Resources:
    """Resources whose looks count for no time at all."""
    resources = exchange(app.state.resources, containers=host)
    resources.systems.state(LOCAL, LastInspection).kept_for = timedelta(0)
    return resources


async def test_view_systems_reachable_says_what_it_is_and_what_is_free(resources: Resources) -> None:
    (seen,) = await view_systems(resources)
    assert (seen.id, seen.state, seen.reason) == (LOCAL, "reachable", "")
    assert (seen.connector, seen.engine, seen.proxy) == ("local", "docker", "caddy")
    assert (seen.engine_version, seen.architecture, seen.cpus, seen.memory_bytes) == ("20.10", "x86_64", 4, 8 << 30)
    assert "127.0.0.1" in seen.addresses
    data = str(resources.settings.data_dir)
    assert [(each.path, each.total_bytes > each.free_bytes > 0) for each in seen.disks] == [("/", True), (data, True)]


async def test_view_systems_away_says_why_and_since_when(resources: Resources, host: Described) -> None:
    (before,) = await view_systems(resources)
    host.is_away = True
    (first,) = await view_systems(resources)
    (second,) = await view_systems(resources)
    assert (first.state, first.reason) == ("unreachable", "Docker does not answer. Start it.")
    assert before.since < first.since == second.since <= first.checked_at < second.checked_at
    assert (first.engine_version, first.cpus, first.addresses != []) == ("", None, True)
    host.is_away = False
    (after,) = await view_systems(resources)
    assert (after.state, after.since > second.since) == ("reachable", True)


async def test_view_system_looks_once_for_callers_that_come_together(app: FastAPI, host: Described) -> None:
    resources = exchange(app.state.resources, containers=host)
    for _ in range(3):
        await view_system(resources, LOCAL)
    assert host.asked == 1


async def test_view_system_that_is_misconfigured_is_unreachable_and_the_others_are_there(app: FastAPI) -> None:
    async with app.state.resources.db.write() as session:
        session.add(System(id="edge", name="edge", connector="carrier-pigeon"))
    first, edge = await view_systems(app.state.resources)
    assert (first.id, edge.id, edge.state) == (LOCAL, "edge", "unreachable")
    assert "carrier-pigeon" in edge.reason
    with pytest.raises(NotFound):
        await view_system(app.state.resources, "nowhere")


async def test_systems_doors_are_for_instance_admins(app: FastAPI) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(update(System).values(name="this <machine>"))
    async with local_client(app) as http:
        listed = (await http.get("/api/v1/systems")).json()["items"]
        shown = (await http.get("/api/v1/systems/local")).json()
        missing = await http.get("/api/v1/systems/nowhere")
        pages = [await http.get(path) for path in ("/systems", "/systems/local")]
        nowhere = await http.get("/systems/nowhere")
    assert [each["id"] for each in listed] == [shown["id"]] == [LOCAL]
    assert (missing.status_code, nowhere.status_code) == (404, 404)
    for page in pages:
        assert page.status_code == 200, page.text
        assert "this &lt;machine&gt;" in page.text
    owner = await add_token(app, await add_person(app, "owner"), "*")
    async with client_of(app, Authorization=f"Bearer {owner}") as http:
        refused = [await http.get(path) for path in ("/api/v1/systems", "/api/v1/systems/local")]
    assert [each.status_code for each in refused] == [403, 403]
