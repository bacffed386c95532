"""What a foreign id finds when the gate does not look at it: the sessions of doors see no rows of other teams."""

import pytest
from tests.attacks.asking import listen
from tests.attacks.conftest import UNLIMITED, World

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
                words = {*world.theirs.made.values(), *world.theirs.canaries, route["hostname"]}
                words -= {world.theirs.made[name] for name in door.identifiers}
                broken += [f"{door} says {word}" for word in words if word in heard.text]
    finally:
        world.app.state.gate = working
    assert not broken, "\n".join(broken)
