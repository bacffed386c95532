"""What waits for a deployment is discarded: settings and variables are again what runs, and nothing else is touched."""

import pytest
from sqlalchemy import select
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_pipeline import start_tasks
from tests.features.deployments.test_service_status import put, status_of

from orca.errors import Conflict, Forbidden
from orca.events import Event, Origin, origin
from orca.features.deployments.actions.discard import discard_changes
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Build, Deployment, Release
from orca.features.services.actions import remove_variables, reveal_variable, set_variables
from orca.features.services.models import Service
from orca.features.services.schemas.variables import NamedVariable
from orca.web.guard import Scope

pytestmark = pytest.mark.slow


async def discard(bench: Bench, service: Service, revision: str = "") -> None:
    revision = revision or (await status_of(bench, service)).revision
    async with bench.resources.db.write() as session:
        await discard_changes(session, bench.resources, Scope(service.team_id), service.id, revision)


async def reveal(bench: Bench, service: Service, key: str) -> str:
    async with bench.resources.db.write() as session:
        scope, owner = Scope(service.team_id), ("service", service.id)
        return await reveal_variable(session, bench.resources.secret_box, scope, owner, key)


async def share(bench: Bench, service: Service, key: str, value: str) -> None:
    async with bench.resources.db.write() as session:
        owner = ("project", service.project_id)
        given = [NamedVariable(key=key, value=value)]
        await set_variables(session, bench.resources.secret_box, Scope(service.team_id), owner, given)


async def test_settings_and_variables_are_again_those_of_the_live_release(bench: Bench) -> None:
    service = await bench.make_service()
    await put(bench, service, "TOKEN", "one")
    await put(bench, service, "GONE", "secret too")
    await put(bench, service, "LEVEL", "info", is_secret=False)
    await start_tasks(bench)
    await bench.make_web_live(service)
    await bench.end_of(await bench.ask(service, DeploymentRequest(kind="scale", replicas=2)))
    await bench.edit(service, stop_grace=3.0, replicas=5, ports=[{"name": "http", "port": 9000, "public": True}])
    await bench.edit(service, source={"type": "image", "image": "app:2"}, health={"type": "tcp"})
    for key, value in (("TOKEN", "two"), ("NEW", "x")):
        await put(bench, service, key, value)
    await put(bench, service, "LEVEL", "debug", is_secret=False)
    async with bench.resources.db.write() as session:
        await remove_variables(session, Scope(service.team_id), ("service", service.id), ["GONE"])
    assert len((await status_of(bench, service)).pending) >= 8
    await discard(bench, service)
    assert (await status_of(bench, service)).pending == ()
    assert [await reveal(bench, service, key) for key in ("TOKEN", "GONE", "LEVEL")] == ["one", "secret too", "info"]
    async with bench.resources.db.read() as session:
        row = await session.get_one(Service, service.id)
        fact = await session.scalar(select(Event).where(Event.type == "ServiceChangesDiscarded"))
    assert (row.stop_grace, row.replicas, row.source["image"], row.ports[0]["port"]) == (10.0, 2, "app:1", 8080)
    assert fact is not None
    assert (fact.payload["set"], fact.payload["removed"]) == (["GONE", "LEVEL", "TOKEN"], ["NEW"])
    assert "one" not in str(fact.payload)
    await put(bench, service, "TOKEN", "three")
    assert (await status_of(bench, service)).pending == ("variable TOKEN changed",)


async def test_what_was_not_seen_is_not_discarded(bench: Bench) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    with pytest.raises(Conflict, match="no release is live"):
        await discard(bench, service, "x")
    await bench.make_web_live(service)
    await bench.edit(service, stop_grace=3.0)
    seen = (await status_of(bench, service)).revision
    await put(bench, service, "LATER", "x", is_secret=False)
    with pytest.raises(Conflict, match="changed meanwhile"):
        await discard(bench, service, seen)
    assert len((await status_of(bench, service)).pending) == 2
    token = origin.set(Origin("bob", "session", permissions=frozenset({"service.update"})))
    with pytest.raises(Forbidden, match=r"variable\.write"):
        await discard(bench, service)
    origin.reset(token)
    assert len((await status_of(bench, service)).pending) == 2


async def test_what_others_share_and_what_the_source_says_stays(bench: Bench) -> None:
    service = await bench.make_service()
    await share(bench, service, "SHARED", "old")
    await start_tasks(bench)
    live = await bench.make_web_live(service)
    async with bench.resources.db.write() as session:
        (await session.get_one(Build, live.build_id)).orca_file = "stop_grace: 5\n"
        (await session.get_one(Deployment, live.id)).secret_revisions = {}
        release = await session.get_one(Release, live.release_id)
        release.config = {**release.config, "stop_grace": 5.0}
    await share(bench, service, "SHARED", "new")
    await bench.edit(service, restart="always")
    assert (await status_of(bench, service)).pending == ("restart unless-stopped→always", "variable SHARED changed")
    await discard(bench, service)
    assert (await status_of(bench, service)).pending == ("variable SHARED changed",)
    async with bench.resources.db.read() as session:
        assert (await session.get_one(Service, service.id)).stop_grace == 10.0  # not what the file says
