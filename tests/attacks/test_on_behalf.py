"""A token that may make a thing gets nothing along with it that it might not add afterwards."""

from typing import Any

import pytest
from tests.attacks.conftest import World
from tests.attacks.people import add_person, add_token
from tests.conftest import client_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
IMAGE = {"type": "image", "image": "docker.io/library/nginx:1"}


@pytest.mark.parametrize(
    ("extra", "permission"),
    [
        ({"variables": {"A": "b"}}, "variable.write"),
        ({"volumes": [{"name": "data", "path": "/data"}]}, "volume.create"),
    ],
)
async def test_a_new_service_needs_the_permissions_of_what_it_comes_with(
    world: World, extra: dict[str, Any], permission: str
) -> None:
    person = await add_person(world.app, "member")
    path = f"/api/v1/projects/{world.ours.made['project_id']}/services"
    body = {"name": f"With {next(iter(extra))}", "source": IMAGE}
    few = await add_token(world.app, person, "service.create")
    enough = await add_token(world.app, person, "service.create", permission)
    async with client_of(world.app, Authorization=f"Bearer {few}") as client:
        refused = await client.post(path, json=body | extra)
        assert refused.status_code == 403, refused.text
        assert permission in refused.json()["detail"]
        assert (await client.post(path, json=body)).status_code == 201
    async with client_of(world.app, Authorization=f"Bearer {enough}") as client:
        again = body | extra | {"name": f"Again {body['name']}"}
        assert (await client.post(path, json=again)).status_code == 201
