"""What a foreign id finds when the gate does not look at it: the sessions of doors see no rows of other teams."""

import pytest
from sqlalchemy import func, select
from tests.attacks import checks
from tests.attacks.asking import listen
from tests.attacks.conftest import UNLIMITED, World

from orca.events import Event
from orca.features.access.gate import AccessGate

DIES = (RuntimeError, ExceptionGroup)
"""What a stream ends with that has begun already."""
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


class WithoutObjects(AccessGate):
    async def _check_object(self, *_: object) -> None: ...


async def test_a_foreign_id_opens_nothing_that_is_stored(world: World) -> None:
    broken = []
    working, cookie = world.app.state.gate, f"orca_session={world.browsers['owner'].cookies['orca_session']}"
    route = (await world.theirs.client.get(f"/api/v1/routes/{world.theirs.made['route_id']}")).json()
    world.app.state.gate = WithoutObjects(world.app.state.resources, UNLIMITED)
    try:
        for door in world.doors:
            if door.is_safe and door.guard.tenant is not None:
                address = door.address(**world.theirs.made)
                heard = await listen(world.app, address, {"Cookie": cookie}, may_die_of=DIES)
                words = {*world.theirs.made.values(), *world.theirs.canaries, route["hostname"]} - {
                    world.theirs.made["system_id"]
                }
                words -= {world.theirs.made[name] for name in door.identifiers}
                broken += [f"{door} says {word}" for word in words if word in heard.text]
    finally:
        world.app.state.gate = working
    assert not broken, "\n".join(broken)


async def test_no_answer_to_a_team_tells_of_another_one_or_of_the_instance(world: World) -> None:
    """Pages, API, streams, palette, activity and lists, opened by an owner who is no instance admin."""
    theirs, resources = world.theirs, world.app.state.resources
    words = {id_ for name, id_ in theirs.made.items() if name not in checks.OF_THE_INSTANCE}
    words |= {theirs.owner.id, theirs.owner.email, theirs.owner.team_id, "rivals"}
    words |= {str(resources.settings.data_dir), resources.instance}
    broken = []
    async for door, text in checks.read_everything(world, world.doors, "owner"):
        broken += [f"{door} says {word}" for word in words if word in text]
    assert not broken, "\n".join(broken)


async def test_the_trail_is_verified_over_all_teams(world: World) -> None:
    async with world.app.state.resources.db.read() as session:
        total = await session.scalar(select(func.count()).select_from(Event))
    found = (await world.admin.get("/api/v1/events/verify")).json()
    assert (found["is_intact"], found["events"]) == (True, total)


async def test_a_name_of_another_team_is_taken_though_it_is_not_seen(world: World) -> None:
    taken = (await world.theirs.client.get(f"/api/v1/routes/{world.theirs.made['route_id']}")).json()["hostname"]
    path = f"/api/v1/services/{world.ours.made['service_id']}/routes"
    answer = await world.browsers["owner"].post(path, json={"hostname": taken})
    assert (answer.status_code, "already in use" in answer.text) == (409, True)
