"""Two systems in memory: each has its own containers and routes, and one that is away does not stop the other."""

from pathlib import Path

import pytest
from tests.features.deployments.bench import Bench, TroubledHost
from tests.features.deployments.test_pipeline import start_tasks
from tests.open_systems import OpenSystems, host_of, proxy_of

from orca.errors import Conflict, Forbidden
from orca.events import Origin, origin
from orca.features.deployments import queries
from orca.features.deployments.actions.start import DeploymentRequest, start_deployment
from orca.features.deployments.operations.reconcile import reconcile_services
from orca.features.deployments.states import observe_services
from orca.features.deployments.tasks import sweep
from orca.features.routing.operations import apply_routes, check_drift
from orca.features.services.actions import attach_volume, update_service
from orca.features.services.models import Service
from orca.features.services.schemas.services import ServiceChanges
from orca.features.services.schemas.volumes import VolumeFields
from orca.sdk.engines import EngineUnreachable
from orca.sdk.testing.fake_proxy import FakeProxy
from orca.systems import System
from orca.web.guard import Scope


class Away(TroubledHost):
    """An engine that does not answer."""

    async def inspect(self, labels):
        raise EngineUnreachable("The second Docker does not answer.")

    survey = inspect


@pytest.fixture
async def there(bench: Bench) -> dict[str, object]:
    """The handles of a second system, which a test may exchange."""
    systems = bench.resources.systems
    assert isinstance(systems, OpenSystems)
    systems.handles["second"] = {
        **systems.handles["local"],
        "containers": TroubledHost(["app:1"]),
        "proxy": FakeProxy(),
    }
    async with bench.resources.db.write() as session:
        session.add(System(id="second", name="second"))
    return systems.handles["second"]


async def deploy(bench: Bench, service: Service, kind: str = "deploy") -> None:
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest(kind=kind)))  # type: ignore[arg-type]
    assert (ended.state, ended.warnings) == ("succeeded", []), ended.reason


async def test_moved_service_runs_there_and_its_routes_are_served_there_alone(bench: Bench, there) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    await bench.make_web_live(service)
    await bench.edit(service, system_id="second")
    await deploy(bench, service, "restart")  # the live release stays where it is
    assert len(await bench.containers(service)) == 1
    assert [len(route.upstreams) for route in proxy_of(bench.resources).served.routes] == [1]
    await deploy(bench, service)
    assert await bench.containers(service) == []
    assert len(await there["containers"].inspect({"orca.service": service.id})) == 1
    await check_drift(bench.resources)
    assert list(proxy_of(bench.resources).served.routes) == []
    assert [len(route.upstreams) for route in there["proxy"].served.routes] == [1]
    await sweep(bench.resources)
    await reconcile_services(bench.resources)
    assert len(await there["containers"].inspect({"orca.service": service.id})) == 1
    await deploy(bench, service, "stop")
    assert await there["containers"].inspect({"orca.service": service.id}) == []


async def test_moved_service_that_fails_there_serves_on_here(bench: Bench, there) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    await bench.make_web_live(service)
    await bench.edit(service, system_id="second")

    async def fail() -> None:
        raise Conflict("the second machine is full")

    there["containers"].at_apply = fail
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert ended.state == "failed"
    assert len(await bench.containers(service)) == 1
    async with bench.resources.db.read() as session:
        assert await queries.find_system(session, service.id) == "local"
    assert [len(route.upstreams) for route in proxy_of(bench.resources).served.routes] == [1]
    assert await there["containers"].inspect({"orca.service": service.id}) == []


async def test_system_away_does_not_stop_the_work_on_the_others(bench: Bench, there) -> None:
    there["containers"] = Away(["app:1"])
    there["proxy"].down = True
    service = await bench.make_service()
    deployment_id = await bench.make_live(service)
    (container,) = await bench.containers(service)
    await host_of(bench.resources).stop(container.id, grace=0)
    await bench.run_container(service, "of-nobody")
    for job in (reconcile_services, sweep, apply_routes, check_drift):
        await job(bench.resources)  # type: ignore[operator]
    running = [each for each in await bench.containers(service) if each.state == "running"]
    assert deployment_id in {each.labels["orca.deployment"] for each in running}
    async with bench.resources.db.read() as session:
        states = await observe_services(
            session, Scope(service.team_id), bench.resources, {service.id: "running"}
        )  # fmt: skip
    assert states[service.id].state == "running"


async def test_update_service_system_needs_the_permission_of_the_instance(bench: Bench, there) -> None:
    service = await bench.make_service()
    scope, changes = Scope(service.team_id), ServiceChanges(system="second")
    token = origin.set(Origin("ann", "api", permissions=frozenset({"service.update"})))
    try:
        with pytest.raises(Forbidden, match=r"instance\.admin"):
            async with bench.resources.db.write() as session:
                await update_service(session, scope, service.id, changes)
    finally:
        origin.reset(token)


async def test_volume_on_another_system_is_not_deployed(bench: Bench, there, tmp_path: Path) -> None:
    service = await bench.make_service()
    async with bench.resources.db.write() as session:
        row = await session.get_one(Service, service.id)
        await attach_volume(session, Scope(row.team_id), row.id, VolumeFields(name="d", path="/d"))
        row.system_id = "second"
        await session.flush()
        with pytest.raises(Conflict, match="on the system local"):
            await start_deployment(session, bench.resources, row, DeploymentRequest())
