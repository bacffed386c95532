"""Changes that people ask for are served when the answer comes, or were never made."""

import bcrypt
import pytest
from sqlalchemy import select
from tests.features.routing.bench import OTHER_SCOPE, SCOPE

from orca.db import Database
from orca.errors import BadInput, Conflict, NotFound, RequestRefused
from orca.events import Event
from orca.features.routing.models import Route
from orca.features.routing.operations import publish_route, republish_route, retract_route
from orca.features.routing.schemas.routes import RouteIn, RouteOut, RoutePatch


async def rows(db: Database) -> list[Route]:
    async with db.read() as session:
        return list((await session.scalars(select(Route))).all())


async def kinds(db: Database) -> list[str]:
    async with db.read() as session:
        return list((await session.scalars(select(Event.type).order_by(Event.seq))).all())


async def test_published_is_served(resources, proxy, service) -> None:
    route = await publish_route(resources, SCOPE, service.id, RouteIn(hostname="shop.internal"))
    assert (route.state, proxy.hostnames) == ("live", ["shop.internal"])


async def test_a_refused_route_leaves_nothing_behind(resources, proxy, service) -> None:
    proxy.refuses = {"bad.internal": "It cannot be served."}
    await publish_route(resources, SCOPE, service.id, RouteIn(hostname="good.internal"))
    with pytest.raises(BadInput, match="It cannot be served") as caught:
        await publish_route(resources, SCOPE, service.id, RouteIn(hostname="bad.internal"))
    assert caught.value.hint == "Mend it."
    assert [row.hostname for row in await rows(resources.db)] == ["good.internal"]
    assert proxy.hostnames == ["good.internal"]
    assert await kinds(resources.db) == ["RouteCreated", "RouteCreated", "RouteRefused"]


async def test_a_refused_change_leaves_everything_as_it_was(resources, proxy, service) -> None:
    route = await publish_route(resources, SCOPE, service.id, RouteIn(hostname="a.internal", port=1234))
    before = RouteOut.of(route, resources.settings.proxy).model_dump(exclude={"updated_at"})
    proxy.refuses = {"bad.internal": "No."}
    with pytest.raises(BadInput, match="No"):
        await republish_route(resources, SCOPE, route.id, RoutePatch(hostname="bad.internal", port=1))
    (row,) = await rows(resources.db)
    assert RouteOut.of(row, resources.settings.proxy).model_dump(exclude={"updated_at"}) == before
    assert proxy.hostnames == ["a.internal"]


async def test_a_refused_certificate_change_is_undone_for_all_paths(resources, proxy, service) -> None:
    first = await publish_route(resources, SCOPE, service.id, RouteIn(hostname="a.internal"))
    await publish_route(resources, SCOPE, service.id, RouteIn(hostname="a.internal", path_prefix="/api"))
    proxy.refuses = {"a.internal": "No."}
    with pytest.raises(BadInput, match="No"):
        await republish_route(resources, SCOPE, first.id, RoutePatch(tls="off"))
    assert {row.tls for row in await rows(resources.db)} == {"internal"}


async def test_a_refusal_of_the_whole_takes_the_change_back(resources, proxy, service) -> None:
    async def refuse(_desired: object) -> None:
        raise RequestRefused("The whole is wrong.")

    proxy.apply = refuse
    with pytest.raises(RequestRefused, match="The whole is wrong"):
        await publish_route(resources, SCOPE, service.id, RouteIn(hostname="a.internal"))
    assert await rows(resources.db) == []


async def test_while_the_proxy_cannot_run_the_wish_is_kept_with_the_reason(resources, proxy, service) -> None:
    proxy.running, proxy.port_taken = False, "port 80 is held by nginx (pid 12)"
    route = await publish_route(resources, SCOPE, service.id, RouteIn(hostname="a.internal"))
    assert route.state == "pending"
    assert route.problem.startswith("port 80 is held by nginx (pid 12)")
    proxy.port_taken = ""
    changed = await republish_route(resources, SCOPE, route.id, RoutePatch(port=1))
    assert (changed.state, changed.problem) == ("live", "")


async def test_a_route_goes_at_once_or_when_the_proxy_is_back(resources, proxy, service) -> None:
    route = await publish_route(resources, SCOPE, service.id, RouteIn(hostname="a.internal"))
    await retract_route(resources, SCOPE, route.id)
    assert proxy.hostnames == []
    other = await publish_route(resources, SCOPE, service.id, RouteIn(hostname="b.internal"))
    proxy.down = True
    await retract_route(resources, SCOPE, other.id)
    assert await rows(resources.db) == []


async def test_others_cannot_touch_it(resources, proxy, service) -> None:
    route = await publish_route(resources, SCOPE, service.id, RouteIn(hostname="a.internal"))
    with pytest.raises(NotFound):
        await publish_route(resources, OTHER_SCOPE, service.id, RouteIn(hostname="b.internal"))
    with pytest.raises(NotFound):
        await republish_route(resources, OTHER_SCOPE, route.id, RoutePatch(hostname="b.internal"))
    with pytest.raises(NotFound):
        await retract_route(resources, OTHER_SCOPE, route.id)
    assert proxy.hostnames == ["a.internal"]


async def test_taken_names_never_reach_the_proxy(resources, proxy, service, foreign) -> None:
    await publish_route(resources, OTHER_SCOPE, foreign.id, RouteIn(hostname="a.example.org"))
    applied = len(proxy.applied)
    with pytest.raises(Conflict):
        await publish_route(resources, SCOPE, service.id, RouteIn(hostname="A.example.org"))
    assert len(proxy.applied) == applied


async def test_passwords_are_kept_as_bcrypt_hashes_only(resources, proxy, service) -> None:
    canary = "CANARY-pässword"
    given = RouteIn(hostname="a.internal", options={"basic_auth": [{"username": "ada", "password": canary}]})
    route = await publish_route(resources, SCOPE, service.id, given)
    (user,) = proxy.served.routes[0].basic_auth
    assert bcrypt.checkpw(canary.encode(), user.password_hash.encode())
    shown = RouteOut.of(route, resources.settings.proxy).model_dump_json()
    assert '"basic_auth":["ada"]' in shown
    assert user.password_hash not in shown
    assert canary not in repr(given) + str(route.options)
    patch = RoutePatch(options={"basic_auth": [{"username": "ada"}, {"username": "bob", "password": "y"}]})
    await republish_route(resources, SCOPE, route.id, patch)
    kept, added = proxy.served.routes[0].basic_auth
    assert kept == user
    assert bcrypt.checkpw(b"y", added.password_hash.encode())
