"""Every WebSocket, found in the route table, asked for by people who may not have it: none is accepted."""

import pytest
from tests.attacks.checks import FOREIGN_HOSTS, FORGED
from tests.attacks.conftest import World
from tests.attacks.handshakes import ACCEPTED, CLOSED, shake_hands
from tests.attacks.inventory import Door, sockets_of
from tests.attacks.people import add_token
from tests.conftest import API_TOKEN

from orca.features.access.permissions import all_roles

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
OWN = {"Origin": "http://localhost"}


@pytest.fixture
def doors(world: World) -> list[Door]:
    return sockets_of(world.app)


def cookie(world: World, role: str = "owner") -> dict[str, str]:
    return {"Cookie": f"orca_session={world.browsers[role].cookies['orca_session']}"}


async def test_no_socket_without_valid_credentials(world: World, doors: list[Door]) -> None:
    for door in doors:
        path = door.address(**world.ours.made)
        for headers in ({}, {"Authorization": "Bearer orc_x_y"}, {"Cookie": "orca_session=x", **OWN}):
            assert await shake_hands(world.app, path, headers) == 401, (door, headers)


async def test_no_socket_by_a_token_in_its_address(world: World, doors: list[Door]) -> None:
    for door in doors:
        path = door.address(**world.ours.made)
        for query in (f"token={API_TOKEN}", f"access_token={API_TOKEN}", f"authorization=Bearer%20{API_TOKEN}"):
            assert await shake_hands(world.app, path, {}, query) == 401, (door, query)
            assert await shake_hands(world.app, path, cookie(world) | OWN, query) == 422, (door, query)


async def test_no_socket_for_another_site(world: World, doors: list[Door]) -> None:
    """Browsers send the cookie along with any site's WebSocket, and always name where it comes from."""
    for door in doors:
        path = door.address(**world.ours.made)
        assert await shake_hands(world.app, path, cookie(world)) == 403, door
        for forged in FORGED:
            assert await shake_hands(world.app, path, cookie(world) | forged) == 403, (door, forged)
        for host in FOREIGN_HOSTS:
            assert await shake_hands(world.app, path, cookie(world) | OWN | {"Host": host}) == CLOSED, (door, host)


async def test_no_socket_without_its_permission(world: World, doors: list[Door]) -> None:
    for door in doors:
        path = door.address(**world.ours.made)
        for role in world.browsers:
            expected = ACCEPTED if door.guard.permission in all_roles()[role] else 403
            assert await shake_hands(world.app, path, cookie(world, role) | OWN) == expected, (door, role)
        for scope in ("metrics.read", "service.deploy"):
            token = await add_token(world.app, world.ours.owner, scope)
            assert await shake_hands(world.app, path, {"Authorization": f"Bearer {token}"}) == 403, (door, scope)
        token = await add_token(world.app, world.ours.owner, door.guard.permission)
        assert await shake_hands(world.app, path, {"Authorization": f"Bearer {token}"}) == ACCEPTED, door


async def test_no_socket_of_another_team(world: World, doors: list[Door]) -> None:
    for door in doors:
        unknown = door.address(**dict.fromkeys(door.identifiers, "01890000-0000-7000-8000-000000000000"))
        for path in (door.address(**world.theirs.made), unknown):
            assert await shake_hands(world.app, path, cookie(world) | OWN) == 404, (door, path)
            assert await shake_hands(world.app, path, {"Authorization": f"Bearer {API_TOKEN}"}) == 404, (door, path)
