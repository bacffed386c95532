"""What the proxy serves and a restored, emptied or exchanged database cannot account for goes on being served."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import delete
from tests.features.routing.bench import target
from tests.features.routing.operations.test_apply import store
from tests.open_systems import begin_again, exchange, host_of

from orca.db import Database
from orca.features.routing.actions import delete_route, forget_service, set_targets
from orca.features.routing.models import Route, Target
from orca.features.routing.operations import apply_routes, check_drift
from orca.instance.tombstones import bury
from orca.resources import Resources
from orca.sdk.containers import ContainerSpec
from orca.sdk.engines import EngineUnreachable
from orca.sdk.testing.fake_host import FakeHost


@pytest.fixture
def equipped(resources: Resources) -> Resources:
    return exchange(resources, containers=FakeHost(["app:1"]))


@pytest.fixture
async def restarted(equipped: Resources) -> AsyncIterator[Resources]:
    """As a process that has just begun has it: nothing is remembered."""
    db = Database(equipped.db.url)
    yield replace(begin_again(equipped), db=db)
    await db.close()


async def run_container(resources: Resources, service_id: str, name: str) -> str:
    labels = {"orca.instance": "test", "orca.service": service_id, "orca.replica": "0"}
    host = host_of(resources)
    await host.apply(host.plan([], [ContainerSpec(name, "app:1", "net", labels)]))
    return next(each.address for each in await host.inspect({}) if each.name == name) or ""


@pytest.mark.parametrize("act", [apply_routes, check_drift])
async def test_routes_of_no_row_stay_until_their_deletion_is_on_record(
    equipped, proxy, service, restarted, act
) -> None:
    kept, also = [await store(equipped, service, f"{name}.internal") for name in ("kept", "also")]
    await apply_routes(equipped)
    async with equipped.db.write() as session:
        await session.execute(delete(Route).where(Route.id.in_([kept, also])))
    await act(restarted)
    await store(restarted, service, "new.internal")
    await apply_routes(restarted)
    assert sorted(proxy.hostnames) == ["also.internal", "kept.internal", "new.internal"]
    async with equipped.db.write() as session:
        await bury(session, "route", [kept])
    await act(restarted)
    assert "kept.internal" not in proxy.hostnames
    assert "also.internal" in proxy.hostnames
    await store(restarted, service, "also.internal")
    await apply_routes(restarted)
    assert proxy.hostnames.count("also.internal") == 1


@pytest.mark.parametrize("how", ["route", "service"])
async def test_routes_that_were_deleted_go_at_once(equipped, proxy, service, restarted, how: str) -> None:
    route_id = await store(equipped, service, "shop.internal")
    await apply_routes(equipped)
    async with equipped.db.write() as session:
        if how == "route":
            await delete_route(session, await session.get_one(Route, route_id))
        else:
            await forget_service(session, service.id)
    await apply_routes(restarted)
    assert proxy.hostnames == []


async def test_upstreams_that_run_are_not_left_for_those_that_do_not(equipped, proxy, service, restarted) -> None:
    await store(equipped, service, "shop.internal")
    running = await run_container(equipped, service.id, "newer")
    async with equipped.db.write() as session:
        await set_targets(session, service, "r", [target(running)])
    await apply_routes(equipped)
    async with equipped.db.write() as session:
        await session.execute(delete(Target))
        await set_targets(session, service, "r", [target("10.99.99.99")])
    for act in (apply_routes, check_drift, apply_routes):
        await act(restarted)
        assert [str(each) for each in proxy.served.routes[0].upstreams] == [f"{running}:8080"]
    again = await run_container(equipped, service.id, "deployed-by-hand")
    async with equipped.db.write() as session:
        await set_targets(session, service, "r", [target(again)])
    await apply_routes(restarted)
    assert [str(each) for each in proxy.served.routes[0].upstreams] == [f"{again}:8080"]


class AwayHost(FakeHost):
    async def inspect(self, labels):
        raise EngineUnreachable("Docker does not answer.")

    survey = inspect


async def test_nothing_is_moved_while_the_engine_does_not_answer(equipped, proxy, service, restarted) -> None:
    await store(equipped, service, "shop.internal")
    async with equipped.db.write() as session:
        await set_targets(session, service, "r", [target("10.1.1.1")])
    await apply_routes(equipped)
    async with equipped.db.write() as session:
        await set_targets(session, service, "r", [target("10.2.2.2")])
    await apply_routes(exchange(restarted, containers=AwayHost(["app:1"])))
    assert [str(each) for each in proxy.served.routes[0].upstreams] == ["10.1.1.1:8080"]
    await check_drift(restarted)
    assert [str(each) for each in proxy.served.routes[0].upstreams] == ["10.2.2.2:8080"]
