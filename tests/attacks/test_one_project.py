"""A guest with a grant on one project of a team: every door opens for its objects, none for the project beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from starlette.requests import Request
from tests.attacks import checks
from tests.attacks.conftest import UNLIMITED, World
from tests.attacks.factories import Place
from tests.attacks.inventory import Door
from tests.attacks.people import Person, add_token, add_user, browser_of
from tests.conftest import client_of

from orca.features.access.authentication import AuthenticatedSubject, Authenticator
from orca.features.access.gate import AccessGate
from orca.features.access.permissions import all_roles, permissions_of_grant
from orca.features.services.models import Service
from orca.resources import Resources
from orca.web.guard import SIGNED_IN
from orca.web.rights import Grant, ObjectScope

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
OF_A_PROJECT = ("project_id", "environment_id", "service_id", "volume_id", "route_id", "hook_id", "deployment_id")
"""Path parameters whose objects belong to a project."""


class LimitedAuthenticator(Authenticator):
    """Everybody who signs in has these grants only."""

    def __init__(self, resources: Resources, *grants: Grant) -> None:
        super().__init__(resources)
        self._grants = grants

    async def find(self, request: Request, *, touch: bool = True) -> AuthenticatedSubject | None:
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


@asynccontextmanager
async def as_guest(world: World, **part: str) -> AsyncIterator[World]:
    """The world for a guest of the team, who is an admin of a part of it: in a browser, and by a token for everything."""
    guest = await add_user(world.app)
    body = {"email": guest.email, "role": "admin", **part}
    assert (await world.ours.client.post("/api/v1/grants", json=body)).status_code == 201
    token = await add_token(world.app, Person(guest.id, guest.email, world.ours.owner.team_id), "*")
    async with (
        browser_of(world.app, guest.email) as browser,
        client_of(world.app, Authorization=f"Bearer {token}") as program,
    ):
        yield replace(world, browsers={"owner": browser}, admin=program)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def limited(world: World, sibling: Place) -> AsyncIterator[World]:
    async with as_guest(world, project_id=world.ours.made["project_id"]) as seen:
        yield seen


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def neighbour(world: World) -> Place:
    """Another environment of our project, with what belongs to it."""
    project = world.ours.made["project_id"]
    place = Place(world.app, world.ours.owner, world.ours.client, made={"project_id": project})
    made = await place.post(f"/api/v1/projects/{project}/environments", {"name": "Staging"})
    place.made["environment_id"] = made["id"]
    for parameter in OF_A_PROJECT:
        await place.get(parameter)
    return place


async def test_the_environment_beside_it_is_not_there(world: World, neighbour: Place) -> None:
    """For a guest of one environment: by name, in lists, and by its ids at every door."""
    beside = {name: id_ for name, id_ in neighbour.made.items() if name != "project_id"}
    async with as_guest(world, environment_id=world.ours.made["environment_id"]) as seen:
        broken = [
            f"{door} names the {name} of the other environment"
            async for door, text in checks.read_everything(seen, seen.doors, "owner")
            for name, id_ in beside.items()
            if id_ in text
        ]
        doors = [door for door in seen.doors if is_of_a_project(door) and "project_id" not in door.identifiers]
        broken += await checks.check_owners(replace(seen, theirs=neighbour), doors)
        for path in (f"/projects/{neighbour.made['project_id']}", f"/services/{world.ours.made['service_id']}"):
            assert (await seen.browsers["owner"].get(path)).status_code == 200
    assert not broken, "\n".join(broken)


async def test_the_grant_opens_the_doors_of_its_project(limited: World) -> None:
    """Doors that read are opened; those that change something are asked for what does not exist."""
    broken = []
    for door in limited.doors:
        if is_of_a_project(door):
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
    doors = [door for door in limited.doors if is_of_a_project(door) or not door.identifiers]
    broken = await checks.check_owners(replace(limited, theirs=sibling), doors)
    assert not broken, "\n".join(broken)


def is_of_the_team(door: Door) -> bool:
    """Whether a door is about the team as a whole, or the instance."""
    anyone = door.is_open or door.guard.permission in {SIGNED_IN, *all_roles()["guest"]}
    return not (anyone or is_of_a_project(door) or door.guard.narrowed_by)


def is_of_a_project(door: Door) -> bool:
    """Whether a door is about a project or what belongs to one, and not about who may do what there."""
    return door.guard.tenant in OF_A_PROJECT and door.guard.permission in permissions_of_grant("admin")


async def test_doors_of_the_whole_team_are_shut(limited: World) -> None:
    broken = []
    for door in limited.doors:
        for client in (limited.browsers["owner"], limited.admin):
            if not is_of_the_team(door) or (client is limited.admin and door.is_for_people):
                continue
            answer = await checks.request(client, door, limited.ours.made)
            may_elsewhere = door.guard.tenant and door.guard.permission in permissions_of_grant("admin")
            if answer.status_code != (404 if may_elsewhere else 403):
                broken.append(f"{door} answers {answer.status_code}")
    assert not broken, "\n".join(broken)


async def test_lists_of_the_team_open_and_show_what_is_granted(limited: World, sibling: Place) -> None:
    broken = []
    for door in limited.doors:
        if door.guard.narrowed_by and door.is_safe and door.guard.rate != "stream":
            for client in (limited.browsers["owner"], *([] if door.is_for_people else [limited.admin])):
                answer = await checks.request(client, door, limited.ours.made)
                beside = [name for name, id_ in sibling.made.items() if id_ in answer.text]
                if answer.status_code != 200 or beside:
                    broken.append(f"{door} answers {answer.status_code} with {beside}")
    assert not broken, "\n".join(broken)


async def test_nothing_beside_the_project_is_changed(limited: World, sibling: Place) -> None:
    """Every door that changes something, with bodies that are accepted elsewhere, and ids of the other project."""
    ids = {**limited.ours.made, **{name: sibling.made[name] for name in OF_A_PROJECT}}
    bodies = [{}, {"name": "Taken"}, *(body for _, body in (*limited.ours.posted, *sibling.posted))]
    before, broken = await _rows_of(limited, sibling), []
    for door in limited.doors:
        if door.is_safe or door.is_open or not {*door.identifiers} & {*OF_A_PROJECT}:
            continue
        tries = bodies if door.route.body_field is not None else [{}]
        for client in (limited.browsers["owner"], *([] if door.is_for_people else [limited.admin])):
            for body in tries:
                how = {"data": body} if door.guard.page else {"json": body}
                answer = await checks.request(client, door, ids, **how)
                broken += [f"{door} answers {answer.status_code}"] if answer.status_code < 400 else []
    assert await _rows_of(limited, sibling) == before
    assert not broken, "\n".join(broken)


async def _rows_of(world: World, place: Place) -> dict[str, list[str]]:
    """All rows that name something of a place."""
    ids = {place.made[name] for name in OF_A_PROJECT}
    rows = await checks.snapshot(world)
    return {
        name: [row for row in found if any(each in row for each in ids)]
        for name, found in rows.items()
        if name not in {"idempotency_keys", "events"}
    }


async def test_no_answer_names_what_is_in_the_project_beside_it(limited: World, sibling: Place) -> None:
    broken = []
    async for door, text in checks.read_everything(limited, limited.doors, "owner"):
        broken += [f"{door} names the {name} of the other project" for name, id_ in sibling.made.items() if id_ in text]
    assert not broken, "\n".join(broken)


async def test_credentials_of_the_team_are_not_changed_from_a_project(limited: World) -> None:
    made, browser = limited.ours.made, limited.browsers["owner"]
    form = {"git_credential_id": made["git_credential_id"], "host_keys": "github.com ssh-ed25519 AAAA"}
    answer = await browser.post(f"/projects/{made['project_id']}/services/new/trust", data=form)
    assert (answer.status_code, "credential.update" in answer.text) == (403, True)


async def test_every_owner_says_all_that_its_object_knows(world: World) -> None:
    made, team = world.ours.made, world.ours.owner.team_id
    async with world.app.state.resources.db.read() as session:
        service = await session.get_one(Service, made["service_id"])
        whole = ObjectScope(team, made["project_id"], service.environment_id, service.system_id)
        expected = {name: ObjectScope(team) for name in world.app.state.owners}
        expected |= {"project_id": ObjectScope(team, made["project_id"])}
        expected |= {"environment_id": ObjectScope(team, made["project_id"], service.environment_id)}
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
