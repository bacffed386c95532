"""What is on engine and proxy and in no row is shown, and becomes part of its service or goes when that is said."""

from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from tests.features.deployments.bench import Bench
from tests.features.deployments.conftest import bench  # noqa: F401 - a fixture
from tests.open_systems import proxy_of

from orca.errors import Conflict, NotFound
from orca.features.deployments import queries
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment, Release
from orca.features.deployments.operations.reconcile import reconcile_services
from orca.features.deployments.tasks import sweep
from orca.features.orphans.operations import adopt, remove
from orca.features.orphans.queries import list_orphans
from orca.features.orphans.schemas import Decision
from orca.features.orphans.tasks import hold_back
from orca.features.routing.models import Route
from orca.features.routing.queries import list_targets
from orca.features.services.models import Service
from orca.instance.models import Instance
from orca.sdk.containers import ContainerSpec
from orca.sdk.proxies import ProxyConfig, ProxyRoute, Upstream
from orca.tasks import Task

NEWER = "of-a-newer-database"


async def restore_older(bench: Bench) -> Service:  # noqa: F811
    """A service whose live release is gone, and one that this database does not know in its place."""
    service = await bench.make_service()
    await bench.make_live(service)
    for container in await bench.containers(service):
        await bench.host.remove(container.id)
    await bench.run_container(service, NEWER)
    return service


async def test_adopt_a_deployment_makes_what_runs_the_live_release(bench: Bench) -> None:  # noqa: F811
    service = await restore_older(bench)
    [orphan] = (await list_orphans(bench.resources)).items
    assert (orphan.kind, orphan.id, orphan.service, orphan.can_adopt) == ("deployment", NEWER, "web", True)
    await adopt(bench.resources, Decision(kind="deployment", id=NEWER))
    assert (await list_orphans(bench.resources)).items == []
    async with bench.resources.db.read() as session:
        live = await queries.find_live(session, service.id)
    assert live is not None
    assert live.deployment_id == NEWER
    for job in (sweep, reconcile_services):
        await job(bench.resources)
    assert [each.labels["orca.deployment"] for each in await bench.containers(service)] == [NEWER]
    assert [each.kind for each in await bench.deployments(service)] == ["deploy", "deploy"]


async def test_adoption_keeps_every_replica_that_runs(bench: Bench) -> None:  # noqa: F811
    service = await restore_older(bench)
    for replica, maker in ((1, ""), (2, ""), (3, "added"), (4, "added-later")):
        await add_replica(bench, service, replica, maker)
    bench.host.crash(f"orca-{NEWER}-1")
    before = await running(bench, service)
    assert sorted(before) == [0, 2, 3, 4]
    counts = []
    for orphan in (NEWER, "added-later", "added"):
        await adopt(bench.resources, Decision(kind="deployment", id=orphan))
        for job in (sweep, reconcile_services):
            await job(bench.resources)
        assert before.items() <= (await running(bench, service)).items()
        async with bench.resources.db.read() as session:
            workload = await queries.find_workload(session, service.id)
            live = await queries.find_live(session, service.id)
            assert workload is not None
            assert live is not None
            release = await session.get_one(Release, live.release_id)
            targets = {target.replica for target in await list_targets(session, service.id)}
        counts.append((workload.replicas, release.config["replicas"], before.keys() & targets))
    assert counts == [(3, 3, {0, 2}), (5, 3, {0, 2, 3, 4}), (5, 3, {0, 2, 3, 4})]


async def add_replica(bench: Bench, service: Service, replica: int, maker: str) -> None:  # noqa: F811
    labels = {
        "orca.instance": "test", "orca.service": service.id, "orca.deployment": NEWER, "orca.replica": str(replica),
        **({"orca.scaled-by": maker} if maker else {}),
    }  # fmt: skip
    spec = ContainerSpec(f"orca-{NEWER}-{replica}", "app:1", "net", labels, restart="no")
    await bench.host.apply(bench.host.plan([], [spec]))


async def running(bench: Bench, service: Service) -> dict[int, str]:  # noqa: F811
    """Number of a replica -> its id."""
    found = [each for each in await bench.containers(service) if each.state == "running"]
    return {int(each.labels["orca.replica"]): each.id for each in found}


async def test_remove_a_deployment_lets_the_sweep_take_it(bench: Bench) -> None:  # noqa: F811
    service = await restore_older(bench)
    await remove(bench.resources, Decision(kind="deployment", id=NEWER))
    await sweep(bench.resources)
    assert await bench.containers(service) == []
    with pytest.raises(NotFound):
        await remove(bench.resources, Decision(kind="deployment", id=NEWER))


async def test_adopt_what_belongs_to_no_service_is_refused(bench: Bench) -> None:  # noqa: F811
    service = await bench.make_service()
    await bench.run_container(replace_id(service), NEWER)
    with pytest.raises(Conflict):
        await adopt(bench.resources, Decision(kind="deployment", id=NEWER))


def replace_id(service: Service) -> Service:
    return Service(id="of-nobody", team_id=service.team_id)


async def test_routes_are_adopted_and_removed(bench: Bench) -> None:  # noqa: F811
    service = await restore_older(bench)
    [container] = await bench.containers(service)
    assert container.address is not None
    upstreams = (Upstream(container.address, 8080),)
    proxy = proxy_of(bench.resources)
    await proxy.start()
    served = [ProxyRoute(id=name, hostname=f"{name}.internal", upstreams=upstreams) for name in ("one", "two")]
    await proxy.apply(ProxyConfig((*served, replace(served[0], id="three", hostname="three.internal", upstreams=()))))
    found = {orphan.id: orphan for orphan in (await list_orphans(bench.resources)).items}
    assert {name: found[name].can_adopt for name in ("one", "two", "three")} == {
        "one": True, "two": True, "three": False,
    }  # fmt: skip
    await adopt(bench.resources, Decision(kind="route", id="one"))
    await remove(bench.resources, Decision(kind="route", id="two"))
    state = await proxy.inspect()
    assert state.config is not None
    assert sorted(route.hostname for route in state.config.routes) == ["one.internal", "three.internal"]
    async with bench.resources.db.read() as session:
        assert [each.id for each in (await list_orphans(bench.resources)).items if each.kind == "route"] == ["three"]
        assert (await session.get(Route, "one")) is None


async def test_unfinished_deployments_of_an_older_database_are_held_back(bench: Bench) -> None:  # noqa: F811
    service = await restore_older(bench)
    other = await bench.make_service("other")
    await bench.make_live(other)
    held, free = [await bench.ask(each, DeploymentRequest(kind="restart")) for each in (service, other)]
    await hold_back(bench.resources)
    async with bench.resources.db.read() as session:
        states = {
            each: (await session.get_one(Task, (await session.get_one(Deployment, each)).task_id)).state
            for each in (held, free)
        }
    assert states == {held: "cancelled", free: "queued"}


async def test_lost_history_is_shown_until_it_is_accepted(client: httpx.AsyncClient, app: FastAPI) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(update(Instance).values(lost_after=3, lost_until=9))
    [shown] = (await client.get("/api/v1/orphans")).json()["items"]
    assert shown["kind"] == "history"
    assert "event 9" in shown["detail"]
    answer = await client.post("/api/v1/orphans/remove", json={"kind": "history", "id": "history"})
    assert answer.status_code == 409
    answer = await client.post("/api/v1/orphans/adopt", json={"kind": "history", "id": "history"})
    assert answer.status_code == 200, answer.text
    assert (await client.get("/api/v1/orphans")).json()["items"] == []
