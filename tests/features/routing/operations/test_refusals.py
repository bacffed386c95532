"""A refused route is never given up: it is tried again, and what the proxy serves of it stays meanwhile."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.features.routing.bench import SCOPE, target

from orca.db import now
from orca.errors import BadInput
from orca.events import Event
from orca.features.routing.actions import clear_targets, create_route, set_targets
from orca.features.routing.models import Route
from orca.features.routing.operations import apply_routes, check_drift, check_route, republish_route, retract_route
from orca.features.routing.schemas.routes import RouteIn, RouteOut, RoutePatch
from orca.sdk.proxies import Upstream

HOSTNAME = "shop.internal"
REFUSED = {HOSTNAME: "No answer."}


async def store(resources, service, hostname: str = HOSTNAME, **given: object) -> str:
    async with resources.db.write() as session:
        wanted = RouteIn(hostname=hostname, **given)
        return (await create_route(session, resources.settings, service, wanted, {})).id


async def read(resources, route_id: str) -> Route:
    async with resources.db.read() as session:
        return await session.get_one(Route, route_id)


async def change(resources, route_id: str, **values: object) -> None:
    async with resources.db.write() as session:
        row = await session.get_one(Route, route_id)
        for name, value in values.items():
            setattr(row, name, value)


async def move(resources, service, *addresses: str) -> None:
    """Where the live release listens now."""
    async with resources.db.write() as session:
        targets = [target(address, replica=number) for number, address in enumerate(addresses, 1)]
        await set_targets(session, service, "r1", targets)


async def count_events(resources) -> int:
    async with resources.db.read() as session:
        return len((await session.scalars(select(Event).where(Event.type == "RouteRefused"))).all())


async def let_pauses_end(resources) -> None:
    async with resources.db.write() as session:
        for route in (await session.scalars(select(Route).where(Route.refused_at.is_not(None)))).all():
            route.refused_at = now() - timedelta(hours=1)


@pytest.fixture
async def broken(resources, proxy, service) -> str:
    """A route that the proxy refused once, and would take now."""
    route_id = await store(resources, service)
    proxy.refuses = dict(REFUSED)
    await apply_routes(resources)
    proxy.refuses = {}
    return route_id


async def test_one_refusal_in_a_bad_moment_is_made_good_by_itself(resources, proxy, broken) -> None:
    row = await read(resources, broken)
    assert (row.state, row.refusals) == ("broken", 1)
    assert row.refused_at is not None
    await check_drift(resources)
    assert proxy.hostnames == [], "not before the pause is over"
    await let_pauses_end(resources)
    await check_drift(resources)
    assert proxy.hostnames == [HOSTNAME]
    row = await read(resources, broken)
    assert (row.state, row.problem, row.refusals, row.refused_at) == ("live", "", 0, None)


async def test_each_refusal_makes_the_pause_longer_and_is_told_once(resources, proxy, broken) -> None:
    proxy.refuses = dict(REFUSED)
    for refusals in (2, 3, 4):
        await let_pauses_end(resources)
        await check_drift(resources)
        row = await read(resources, broken)
        assert (row.state, row.refusals) == ("broken", refusals)
        out = RouteOut.of(row, resources.settings.proxy)
        assert (out.condition, out.problem) == ("broken", "No answer. Mend it.")
        assert out.next_try_at == row.refused_at + timedelta(seconds=30 * 2 ** (refusals - 1))
    assert await count_events(resources) == 1


async def test_it_is_told_again_when_it_was_served_in_between(resources, proxy, broken) -> None:
    await let_pauses_end(resources)
    await check_drift(resources)
    proxy.refuses = dict(REFUSED)
    await change(resources, broken, port=9000, state="pending")
    await apply_routes(resources)
    assert (await read(resources, broken)).refusals == 1
    assert await count_events(resources) == 2


async def test_who_else_changes_something_does_not_wait_for_broken_routes(resources, proxy, service, broken) -> None:
    await let_pauses_end(resources)
    applied = len(proxy.applied)
    await store(resources, service, "other.internal")
    assert await apply_routes(resources) == {}
    assert (proxy.hostnames, len(proxy.applied)) == (["other.internal"], applied + 1)


async def test_of_many_a_few_are_tried_at_a_time_and_all_in_the_end(resources, proxy, service) -> None:
    names = [f"h{number:02}.internal" for number in range(12)]
    ids = [await store(resources, service, name) for name in names]
    proxy.refuses = dict.fromkeys(names, "No.")
    await apply_routes(resources)
    assert proxy.refusals == 12, "a route that never broke is blamed for itself only"
    await let_pauses_end(resources)
    tried = []
    for _ in range(3):
        await check_drift(resources)
        tried.append(sum([(await read(resources, each)).refusals == 2 for each in ids]))
    assert tried == [5, 10, 12]
    assert proxy.refusals == 12 + 3, "those that broke before wait for their answer together"


async def test_a_route_that_broke_before_pauses_were_counted_is_tried_at_once(resources, proxy, broken) -> None:
    await change(resources, broken, refusals=0, refused_at=None)
    await check_drift(resources)
    assert proxy.hostnames == [HOSTNAME]


async def test_a_person_s_edit_begins_anew(resources, proxy, broken) -> None:
    await change(resources, broken, refusals=6)
    proxy.refuses = dict(REFUSED)
    with pytest.raises(BadInput, match="No answer"):
        await republish_route(resources, SCOPE, broken, RoutePatch(port=9000))
    row = await read(resources, broken)
    assert (row.state, row.port, row.refusals) == ("broken", None, 6), "what was refused is as it was"
    proxy.refuses = {}
    await republish_route(resources, SCOPE, broken, RoutePatch(port=9000))
    row = await read(resources, broken)
    assert (row.state, row.port, row.refusals, row.refused_at) == ("live", 9000, 0, None)


async def test_a_look_by_hand_names_the_refusal_and_retries_on_request(resources, proxy, broken) -> None:
    (finding,) = await check_route(resources, SCOPE, broken)
    assert (finding.name, finding.ok) == ("proxy", False)
    assert finding.detail == "the proxy refused it: No answer. Mend it."
    assert "`orc domains retry`" in finding.hint
    findings = await check_route(resources, SCOPE, broken, retry=True)
    assert findings[0].name == "dns"
    assert ((await read(resources, broken)).state, proxy.hostnames) == ("live", [HOSTNAME])


async def test_a_route_that_is_served_already_but_pending_becomes_live(resources, proxy, service) -> None:
    route_id = await store(resources, service)
    await apply_routes(resources)
    await change(resources, route_id, state="pending")
    await check_drift(resources)
    assert (await read(resources, route_id)).state == "live"


class TestWhatStays:
    """What the proxy served before stays while the new form is refused."""

    @pytest.fixture
    async def moved(self, resources, proxy, service) -> str:
        """Served at 10.0.0.1 and .2 with one limit; refused at .2 and .3 with another."""
        route_id = await store(resources, service, options={"timeout": 5})
        await move(resources, service, "10.0.0.1", "10.0.0.2")
        await apply_routes(resources)
        await change(resources, route_id, options={"timeout": 9.0})
        await move(resources, service, "10.0.0.2", "10.0.0.3")
        proxy.judges = lambda route: "No answer." if route.timeout == 9 else ""
        assert list(await apply_routes(resources)) == [route_id]
        return route_id

    async def test_it_stays_with_the_replicas_that_are_there(self, resources, proxy, service, moved) -> None:
        await store(resources, service, "other.internal")
        await apply_routes(resources)
        served = {route.hostname: route for route in proxy.served.routes}
        assert served[HOSTNAME].timeout == 5
        assert served[HOSTNAME].upstreams == (Upstream("10.0.0.2", 8080),)
        assert (await read(resources, moved)).state == "broken"
        applied = len(proxy.applied)
        await check_drift(resources)
        assert len(proxy.applied) == applied, "what stays is no drift"

    async def test_it_stays_over_refused_retries(self, resources, proxy, moved) -> None:
        for _ in range(2):
            await let_pauses_end(resources)
            await check_drift(resources)
            assert proxy.hostnames == [HOSTNAME]
        assert (await read(resources, moved)).refusals == 3

    async def test_it_stays_when_the_proxy_had_to_be_started(self, resources, proxy, moved) -> None:
        before = proxy.starts
        await proxy.stop()
        await check_drift(resources)
        assert (proxy.starts - before, proxy.hostnames) == (1, [HOSTNAME])

    async def test_it_goes_with_its_last_replica(self, resources, proxy, service, moved) -> None:
        async with resources.db.write() as session:
            await clear_targets(session, service.id)
        await check_drift(resources)
        assert proxy.hostnames == []

    async def test_it_goes_with_its_route(self, resources, proxy, moved) -> None:
        await retract_route(resources, SCOPE, moved)
        assert proxy.hostnames == []

    async def test_it_does_not_stay_open_when_a_password_is_wanted(self, resources, proxy, moved) -> None:
        user = {"username": "ada", "password_hash": "$2b$10$" + "a" * 53}
        await change(resources, moved, options={"timeout": 9.0, "basic_auth": [user]})
        await check_drift(resources)
        assert proxy.hostnames == []

    async def test_others_are_not_blamed_for_it(self, resources, proxy, service, moved) -> None:
        """What stays may not fit its neighbours: then it goes, and nothing is written down about it."""
        proxy.refused = {moved: "does not fit"}
        other = await store(resources, service, "other.internal")
        await apply_routes(resources)
        assert proxy.hostnames == ["other.internal"]
        assert (await read(resources, other)).state == "live"
        assert (await read(resources, moved)).refusals == 1
