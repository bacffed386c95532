"""Someone whose grant covers one project of a team: every door opens for its objects, none for the project beside it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from starlette.requests import Request
from tests.attacks import checks
from tests.attacks.conftest import UNLIMITED, World
from tests.attacks.factories import Place

from orca.features.access.authentication import Authenticator, Known
from orca.features.access.gate import AccessGate
from orca.features.access.permissions import all_roles
from orca.features.services.models import Service
from orca.resources import Resources
from orca.web.guard import SIGNED_IN
from orca.web.rights import Grant, ObjectScope

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
OF_A_PROJECT = ("project_id", "service_id", "volume_id", "route_id", "hook_id", "deployment_id")
"""Path parameters whose objects belong to a project."""


class LimitedAuthenticator(Authenticator):
    """Everybody who signs in has these grants only."""

    def __init__(self, resources: Resources, *grants: Grant) -> None:
        super().__init__(resources)
        self._grants = grants

    async def find(self, request: Request, *, touch: bool = True) -> Known | None:
        known = await super().find(request, touch=touch)
        return known and replace(known, subject=replace(known.subject, grants=self._grants, is_instance_admin=False))


class LimitedGate(AccessGate):
    def __init__(self, resources: Resources, *grants: Grant) -> None:
        super().__init__(resources, UNLIMITED)
        self._authenticator = LimitedAuthenticator(resources, *grants)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sibling(world: World) -> Place:
    """Another project of the same team, with what belongs to it."""
    place = Place(world.app, world.ours.owner, world.ours.client)
    for parameter in OF_A_PROJECT:
        await place.get(parameter)
    return place


@pytest_asyncio.fixture(loop_scope="session")
async def limited(world: World, sibling: Place) -> AsyncIterator[World]:
    """The world while its people have the rights of an owner on our project, and no others."""
    team, project = world.ours.owner.team_id, world.ours.made["project_id"]
    working = world.app.state.gate
    grant = Grant(ObjectScope(team, project_id=project), all_roles()["owner"])
    world.app.state.gate = LimitedGate(world.app.state.resources, grant)
    yield world
    world.app.state.gate = working


async def test_the_grant_opens_the_doors_of_its_project(limited: World) -> None:
    """Doors that read are opened; those that change something are asked for what does not exist."""
    broken = []
    for door in limited.doors:
        if door.guard.tenant in OF_A_PROJECT:
            if door.is_safe:
                status, _text = await checks.ask(limited, door)
            elif "application/json" in door.media_types and door.route.body_field is not None:
                ids = limited.ours.made
                status = (await checks.request(limited.browsers["owner"], door, ids, json={"nothing": 1})).status_code
            else:
                continue
            broken += [f"{door} answers {status}"] if status in {401, 403, 404} else []
    assert not broken, "\n".join(broken)


async def test_the_project_beside_it_answers_like_nothing(limited: World, sibling: Place) -> None:
    doors = [door for door in limited.doors if {*door.identifiers} <= {*OF_A_PROJECT}]
    broken = await checks.check_owners(replace(limited, theirs=sibling), doors)
    assert not broken, "\n".join(broken)


async def test_doors_of_the_whole_team_are_shut(limited: World) -> None:
    broken = []
    for door in limited.doors:
        if door.is_open or door.guard.permission == SIGNED_IN or door.guard.tenant in OF_A_PROJECT:
            continue
        answer = await checks.request(limited.browsers["owner"], door, limited.ours.made)
        if answer.status_code != (404 if door.guard.tenant else 403):
            broken.append(f"{door} answers {answer.status_code}")
    assert not broken, "\n".join(broken)


async def test_no_answer_names_what_is_in_the_project_beside_it(limited: World, sibling: Place) -> None:
    broken = []
    async for door, text in checks.read_everything(limited, limited.doors, "owner"):
        broken += [f"{door} names the {name} of the other project" for name, id_ in sibling.made.items() if id_ in text]
    assert not broken, "\n".join(broken)


async def test_credentials_of_the_team_are_not_changed_from_a_project(limited: World) -> None:
    made, browser = limited.ours.made, limited.browsers["owner"]
    form = {"git_credential_id": made["git_credential_id"], "host_keys": "github.com ssh-ed25519 AAAA"}
    answer = await browser.post(f"/projects/{made['project_id']}/services/new/trust", data=form)
    assert (answer.status_code, "source.update" in answer.text) == (403, True)


async def test_every_owner_says_all_that_its_object_knows(world: World) -> None:
    made, team = world.ours.made, world.ours.owner.team_id
    async with world.app.state.resources.db.read() as session:
        service = await session.get_one(Service, made["service_id"])
        whole = ObjectScope(team, made["project_id"], service.environment_id, service.system_id)
        expected = {name: ObjectScope(team) for name in world.app.state.owners}
        expected |= {"project_id": ObjectScope(team, made["project_id"])}
        expected |= dict.fromkeys(("service_id", "volume_id", "route_id", "hook_id", "deployment_id"), whole)
        for name, resolve in world.app.state.owners.items():
            assert await resolve(session, made[name]) == expected[name], name
            assert await resolve(session, checks.UNKNOWN) is None, name


async def test_a_permission_for_something_else_of_a_known_object_is_refused_openly(world: World) -> None:
    """Who sees an object but may not do this with it gets 403; a 404 would only puzzle them."""
    team, project = world.ours.owner.team_id, world.ours.made["project_id"]
    reads = Grant(ObjectScope(team, project_id=project), all_roles()["viewer"])
    elsewhere = Grant(ObjectScope(team, project_id=checks.UNKNOWN), all_roles()["owner"])
    working = world.app.state.gate
    world.app.state.gate = LimitedGate(world.app.state.resources, reads, elsewhere)
    try:
        for path in (f"/api/v1/projects/{project}", f"/api/v1/services/{world.ours.made['service_id']}"):
            assert (await world.browsers["owner"].get(path)).status_code == 200
            answer = await world.browsers["owner"].delete(path)
            assert (answer.status_code, "needs the permission" in answer.text) == (403, True)
        page = await world.browsers["owner"].get(f"/services/{world.ours.made['service_id']}")
        assert f'action="/services/{world.ours.made["service_id"]}/deploy"' not in page.text
    finally:
        world.app.state.gate = working
