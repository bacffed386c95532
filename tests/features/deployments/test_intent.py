"""What was requested, and what changed meanwhile: the state at the moment the work begins decides."""

import asyncio

import pytest
from sqlalchemy import select
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_pipeline import start_tasks
from tests.open_systems import proxy_of

from orca.errors import Conflict
from orca.features.deployments import queries
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment, Release
from orca.features.deployments.operations.reconcile import reconcile_services
from orca.features.deployments.tasks import sweep
from orca.features.routing.models import Route
from orca.features.routing.operations import check_drift
from orca.features.services.actions import delete_service
from orca.features.services.models import Service, Volume
from orca.sdk.testing.fake_proxy import FakeProxy
from orca.web.guard import Scope

pytestmark = pytest.mark.slow
APP_2 = {"type": "image", "image": "app:2"}
NEVER_HEALTHY = {"type": "http", "port": 9, "status": [599], "start_period": 1}
"""Whatever answers where an engine in memory has its addresses: on some networks a gateway takes every connection."""


async def kinds(bench: Bench, service: Service) -> list[str]:
    return [each.kind for each in await bench.deployments(service)]


async def look_after(bench: Bench) -> None:
    await sweep(bench.resources)
    await reconcile_services(bench.resources)


async def desired_state(bench: Bench, service: Service) -> str:
    async with bench.resources.db.read() as session:
        return (await session.get_one(Service, service.id)).desired_state


@pytest.mark.parametrize("request_", [DeploymentRequest(kind="restart"), DeploymentRequest(kind="scale", replicas=2)])
async def test_what_was_deployed_meanwhile_is_restarted_not_what_was_live(
    bench: Bench, request_: DeploymentRequest
) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await bench.edit(service, source=APP_2)
    begun, go_on = await bench.hold_pulls()
    await start_tasks(bench)
    deploying = await bench.ask(service, DeploymentRequest())
    await begun.wait()
    after = await bench.ask(service, request_)
    go_on.set()
    assert (await bench.end_of(deploying)).state == "succeeded"
    assert (await bench.end_of(after)).state == "succeeded"
    assert await bench.live_image(service) == bench.host.registry["app:2"].id


async def test_a_cancelled_start_leaves_the_service_stopped(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await start_tasks(bench)
    assert (await bench.end_of(await bench.ask(service, DeploymentRequest(kind="stop")))).state == "succeeded"
    starting = asyncio.Event()

    async def hang() -> None:
        starting.set()
        await asyncio.sleep(60)

    bench.host.at_apply = hang  # type: ignore[method-assign]
    start = await bench.ask(service, DeploymentRequest(kind="start"))
    await starting.wait()
    await bench.cancel(start)
    assert (await bench.end_of(start)).state == "cancelled"
    del bench.host.at_apply
    await look_after(bench)
    assert await kinds(bench, service) == ["deploy", "stop", "start"]


async def test_a_failed_deployment_does_not_start_a_stopped_service(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await start_tasks(bench)
    assert (await bench.end_of(await bench.ask(service, DeploymentRequest(kind="stop")))).state == "succeeded"
    await bench.edit(service, source={"type": "image", "image": "nosuch:1"})
    assert (await bench.end_of(await bench.ask(service, DeploymentRequest()))).state == "failed"
    await look_after(bench)
    assert await kinds(bench, service) == ["deploy", "stop", "deploy"]


async def test_a_cancelled_stop_keeps_the_site_up(bench: Bench) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    await bench.make_web_live(service)
    begun, go_on = await bench.hold_pulls()
    building = await bench.ask(service, DeploymentRequest(kind="build"))
    await begun.wait()
    stop = await bench.ask(service, DeploymentRequest(kind="stop"))
    await bench.cancel(stop)
    go_on.set()
    assert (await bench.end_of(building)).state == "succeeded"
    await check_drift(bench.resources)
    proxy = proxy_of(bench.resources)
    assert isinstance(proxy, FakeProxy)
    assert [len(route.upstreams) for route in proxy.served.routes] == [1]
    assert await desired_state(bench, service) == "running"


async def test_a_stop_that_works_already_is_not_cancelled(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    stop = ""

    async def cancel() -> None:
        with pytest.raises(Conflict, match="being stopped already"):
            await bench.cancel(stop)

    bench.host.at_stop = cancel  # type: ignore[method-assign]
    stop = await bench.ask(service, DeploymentRequest(kind="stop"))
    await start_tasks(bench)
    assert (await bench.end_of(stop)).state == "succeeded"
    assert await bench.containers(service) == []
    assert await desired_state(bench, service) == "stopped"


async def test_nothing_comes_to_life_once_its_service_is_deleted(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.edit(
        service, kind="web", ports=[{"name": "http", "port": 8080, "public": True}], health={"type": "none"}
    )
    begun, go_on = await bench.hold_pulls()
    await start_tasks(bench)
    deploying = await bench.ask(service, DeploymentRequest())
    await begun.wait()
    async with bench.resources.db.write() as session:
        await delete_service(session, Scope(service.team_id), service.id, service.slug)
    go_on.set()
    assert (await bench.end_of(deploying)).state == "cancelled"
    removing = (await bench.deployments(service))[-1]
    assert (await bench.end_of(removing.id)).state == "succeeded"
    assert await bench.containers(service) == []
    async with bench.resources.db.read() as session:
        assert (await session.scalars(select(Route))).all() == []
        assert (await session.scalars(select(Volume))).all() == []
        assert await queries.find_live(session, service.id) is None


async def test_only_releases_that_were_healthy_are_gone_back_to(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await start_tasks(bench)
    await bench.edit(service, source=APP_2, health=NEVER_HEALTHY)
    broken = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert broken.state == "failed"
    await bench.edit(service, health={"type": "none"})
    assert (await bench.end_of(await bench.ask(service, DeploymentRequest()))).state == "succeeded"
    async with bench.resources.db.read() as session:
        assert (await session.get_one(Release, broken.release_id)).went_live_at is None
        back = await queries.find_rollback_release(session, service.id, None)
    assert back is not None
    assert back.number == 1


async def test_requests_at_the_same_moment_get_their_turn(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    asked = await asyncio.gather(*(bench.ask(service, DeploymentRequest()) for _ in range(8)))
    async with bench.resources.db.read() as session:
        numbers = await session.scalars(select(Deployment.number).where(Deployment.id.in_(asked)))
    assert sorted(numbers) == list(range(2, 10))


async def test_undo_takes_all_replicas_down_at_once(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.edit(service, replicas=12, health={**NEVER_HEALTHY, "start_period": 600})

    async def ignore_term() -> None:
        await asyncio.sleep(2)

    bench.host.at_stop = ignore_term  # type: ignore[method-assign]
    await start_tasks(bench)
    deployment_id = await bench.ask(service, DeploymentRequest())
    async with asyncio.timeout(20):
        while len(await bench.containers(service)) < 12:  # noqa: ASYNC110 - an engine rings no bell
            await asyncio.sleep(0.05)
    await bench.cancel(deployment_id)
    async with asyncio.timeout(15):
        assert (await bench.end_of(deployment_id)).state == "cancelled"
    assert await bench.containers(service) == []


async def test_what_is_recreated_stays_down_until_the_new_one_runs(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.edit(service, strategy="recreate")
    await bench.make_live(service)
    (old,) = await bench.containers(service)
    starting, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        starting.set()
        await go_on.wait()

    bench.host.at_apply = wait  # type: ignore[method-assign]
    await start_tasks(bench)
    deployment_id = await bench.ask(service, DeploymentRequest())
    await starting.wait()
    await reconcile_services(bench.resources)
    assert [(each.name, each.state) for each in await bench.containers(service)] == [(old.name, "exited")]
    await bench.cancel(deployment_id)
    assert (await bench.end_of(deployment_id)).state == "cancelled"
    assert [(each.name, each.state) for each in await bench.containers(service)] == [(old.name, "running")]
