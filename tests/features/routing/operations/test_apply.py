"""What is committed gets served: one apply at a time, whatever starts it, and one bad route affects no other."""

import asyncio
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.features.routing.bench import target

from orca.errors import ProviderUnavailable, RequestRefused
from orca.events import Event
from orca.features.routing.actions import create_route, set_targets
from orca.features.routing.actions.routes import update_route
from orca.features.routing.models import Route
from orca.features.routing.operations import apply_routes, check_drift
from orca.features.routing.operations.apply import _machine_lock
from orca.features.routing.schemas.routes import RouteIn, RoutePatch
from orca.sdk.proxies import ProxyConfig


async def store(resources, service, hostname: str) -> str:
    async with resources.db.write() as session:
        return (await create_route(session, resources.settings, service, RouteIn(hostname=hostname), {})).id


async def read(resources, route_id: str) -> Route:
    async with resources.db.read() as session:
        return await session.get_one(Route, route_id)


async def events(resources, kind: str) -> list[Event]:
    async with resources.db.read() as session:
        return list((await session.scalars(select(Event).where(Event.type == kind))).all())


async def test_what_is_committed_is_served(resources, proxy, service) -> None:
    route_id = await store(resources, service, "shop.internal")
    assert await apply_routes(resources) == {}
    assert proxy.hostnames == ["shop.internal"]
    assert (await read(resources, route_id)).state == "live"


async def test_fifty_at_once_need_few_applies_and_each_sees_its_own(resources, proxy, service) -> None:
    proxy.seconds = 0.02

    async def add(number: int) -> None:
        hostname = f"h{number}.internal"
        await store(resources, service, hostname)
        await apply_routes(resources)
        assert hostname in proxy.hostnames  # the apply that answered began after this row was committed

    await asyncio.gather(*(add(number) for number in range(50)))
    assert len(proxy.hostnames) == 50
    assert len(proxy.applied) < 25


async def test_a_change_while_the_proxy_is_told_is_still_to_be_told(resources, proxy, service) -> None:
    route_id = await store(resources, service, "shop.internal")
    proxy.seconds = 0.3
    telling = asyncio.create_task(apply_routes(resources))
    await asyncio.sleep(0.1)
    async with resources.db.write() as session:
        row = await session.get_one(Route, route_id)
        await update_route(session, resources.settings, row, RoutePatch(hostname="other.internal"), {})
        row.updated_at -= timedelta(hours=1)  # the clock went back meanwhile
    await telling
    assert (await read(resources, route_id)).state == "pending"
    await apply_routes(resources)
    assert proxy.hostnames == ["other.internal"]
    assert (await read(resources, route_id)).state == "live"


async def test_those_who_ask_together_share_one(resources, proxy, service) -> None:
    await store(resources, service, "shop.internal")
    await asyncio.gather(*(apply_routes(resources) for _ in range(50)))
    assert len(proxy.applied) <= 2


async def test_one_who_gives_up_does_not_take_it_from_the_others(resources, proxy, service) -> None:
    proxy.seconds = 0.1
    await store(resources, service, "shop.internal")
    impatient = asyncio.create_task(apply_routes(resources))
    patient = asyncio.create_task(apply_routes(resources))
    await asyncio.sleep(0.05)
    impatient.cancel()
    assert await patient == {}
    assert proxy.hostnames == ["shop.internal"]


async def test_a_bad_route_does_not_hold_up_the_others(resources, proxy, service) -> None:
    proxy.refuses = {"bad.internal": "The route cannot be served."}
    bad = await store(resources, service, "bad.internal")
    good = await store(resources, service, "good.internal")
    refused = await apply_routes(resources)
    assert list(refused) == [bad]
    assert proxy.hostnames == ["good.internal"]
    assert (await read(resources, good)).state == "live"
    row = await read(resources, bad)
    assert (row.state, row.problem) == ("broken", "The route cannot be served. Mend it.")
    (event,) = await events(resources, "RouteRefused")
    assert (event.object_id, event.actor, event.outcome) == (bad, "orca", "failed")
    assert await apply_routes(resources) == {}, "a broken route is not tried again and again"


async def test_a_route_that_went_bad_keeps_what_it_had_until_it_is_left_out(resources, proxy, service) -> None:
    await store(resources, service, "other.internal")
    route_id = await store(resources, service, "shop.internal")
    await apply_routes(resources)
    proxy.refuses = {"bad.internal": "No."}
    async with resources.db.write() as session:
        (await session.get_one(Route, route_id)).hostname = "bad.internal"
    assert list(await apply_routes(resources)) == [route_id]
    assert sorted(proxy.hostnames) == ["other.internal", "shop.internal"]


async def test_new_targets_give_a_broken_route_another_chance(resources, proxy, service) -> None:
    proxy.refuses = {"shop.internal": "No."}
    route_id = await store(resources, service, "shop.internal")
    await apply_routes(resources)
    proxy.refuses = {}
    async with resources.db.write() as session:
        await set_targets(session, service, "r1", [target()])
    await apply_routes(resources)
    row = await read(resources, route_id)
    assert (row.state, row.problem) == ("live", "")


async def test_a_refusal_that_names_nobody_is_raised(resources, proxy, service) -> None:
    async def refuse(_desired: object) -> None:
        raise RequestRefused("The whole is wrong.")

    proxy.apply = refuse
    route_id = await store(resources, service, "shop.internal")
    with pytest.raises(RequestRefused, match="The whole is wrong"):
        await apply_routes(resources)
    assert (await read(resources, route_id)).state == "pending"


async def test_a_stopped_proxy_is_started(resources, proxy, service) -> None:
    proxy.running = False
    await store(resources, service, "shop.internal")
    await apply_routes(resources)
    assert (proxy.starts, proxy.hostnames) == (1, ["shop.internal"])


async def test_a_taken_port_is_nobody_s_route(resources, proxy, service) -> None:
    proxy.running, proxy.port_taken = False, "port 80 is held by nginx (pid 12)"
    route_id = await store(resources, service, "shop.internal")
    with pytest.raises(ProviderUnavailable, match="held by nginx") as caught:
        await apply_routes(resources)
    assert "ORC_PROXY_HTTP_PORT" in caught.value.hint
    assert (await read(resources, route_id)).state == "pending"


async def test_another_process_is_waited_for(resources, proxy, service) -> None:
    await store(resources, service, "shop.internal")
    path = resources.settings.data_dir / "routes.lock"
    program = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", program, path], stdin=-1, stdout=-1)
    try:
        holder.stdout.readline()
        applying = asyncio.create_task(apply_routes(resources))
        await asyncio.sleep(0.3)
        assert not applying.done()
        assert proxy.applied == []
    finally:
        holder.communicate()
    assert await asyncio.wait_for(applying, 5) == {}


async def test_an_error_under_the_lock_lets_go_of_it(resources) -> None:
    path = resources.settings.data_dir / "x.lock"
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with _machine_lock(path):
                raise TimeoutError


class TestDrift:
    """The job that compares and repairs."""

    async def test_nothing_happens_while_all_is_well(self, resources, proxy, service) -> None:
        await store(resources, service, "shop.internal")
        await apply_routes(resources)
        await check_drift(resources)
        assert len(proxy.applied) == 1

    async def test_drift_is_repaired_to_ours_and_told(self, resources, proxy, service) -> None:
        await store(resources, service, "shop.internal")
        await apply_routes(resources)
        proxy.applied.append(ProxyConfig(()))
        proxy.drifted = True
        await check_drift(resources)
        assert proxy.hostnames == ["shop.internal"]
        assert len(await events(resources, "ProxyRepaired")) == 1

    async def test_what_was_committed_but_never_applied_is_applied(self, resources, proxy, service) -> None:
        await apply_routes(resources)
        await store(resources, service, "shop.internal")
        await check_drift(resources)
        assert proxy.hostnames == ["shop.internal"]
        assert await events(resources, "ProxyRepaired") == [], "the apply was missing; the proxy had not drifted"

    async def test_a_dead_proxy_is_started_with_everything(self, resources, proxy, service) -> None:
        await store(resources, service, "shop.internal")
        proxy.running = False
        await check_drift(resources)
        assert (proxy.starts, proxy.hostnames) == (1, ["shop.internal"])

    async def test_a_failed_look_changes_nothing(self, resources, proxy, service) -> None:
        await store(resources, service, "shop.internal")
        proxy.down = True
        await check_drift(resources)
        assert (proxy.applied, proxy.starts) == ([], 0)
