"""Every door, found in the route table, attacked in every way that needs no knowledge of what is behind it."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import delete
from tests.attacks import checks
from tests.attacks.conftest import UNLIMITED, World
from tests.attacks.factories import FACTORIES
from tests.attacks.inventory import GOLDEN, Door, doors_of, inventory, sockets_of
from tests.conftest import API_TOKEN, client_of, make_settings, running_app

from orca.features.access.gate import AccessGate
from orca.features.access.permissions import all_permissions
from orca.features.identity.models import Attempt
from orca.web.guard import UNCLAIMED, Guard, Subject
from orca.web.rights import team_wide

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
Check = Callable[[World, Iterable[Door]], Awaitable[list[str]]]


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def no_tries_yet(world: World) -> None:
    """Sign-in doors are limited in any case, and every check tries them."""
    async with world.app.state.resources.db.write() as session:
        await session.execute(delete(Attempt))


@pytest.mark.parametrize(
    "check",
    [
        checks.check_credentials, checks.check_forgery, checks.check_streams_against_other_sites,
        checks.check_media_types, checks.check_hosts, checks.check_roles, checks.check_scopes, checks.check_owners,
        checks.check_pages_take_no_tokens,
        checks.check_extra_fields, checks.check_methods, checks.check_headers, checks.check_reads_change_nothing,
    ],
    ids=lambda check: check.__name__,
)  # fmt: skip
async def test_every_door_holds(world: World, check: Check) -> None:
    broken = await check(world, world.doors)
    assert not broken, "\n".join(broken)


async def test_every_door_declares_itself_fully(world: World) -> None:
    broken = checks.check_declarations(world.doors)
    assert not broken, "\n".join(broken)


async def test_every_permission_opens_a_door(world: World) -> None:
    asked_inside = {"credential.use", "route.share", "token.manage"}
    doors = (*world.doors, *sockets_of(world.app))
    assert set(all_permissions()) - {door.guard.permission for door in doors} == asked_inside


async def test_every_identifier_has_a_factory(world: World) -> None:
    assert {name for door in world.doors for name in door.identifiers} - FACTORIES.keys() == set()


async def test_the_inventory_is_the_one_that_was_reviewed(world: World) -> None:
    """A new or changed door is meant to be seen in review: `python -m tests.attacks.inventory` renews the file."""
    assert inventory(world.app) == GOLDEN.read_text()


async def test_before_the_claim_every_door_but_the_claim_is_shut(tmp_path: Path) -> None:
    async with running_app(make_settings(tmp_path / "data")) as app, client_of(app) as client:
        broken = []
        for door in doors_of(app):
            for headers in ({}, {"Authorization": f"Bearer {API_TOKEN}"}):
                answer = await client.request(door.method, door.address(), headers=headers)
                to_claim = answer.status_code == 303 and answer.headers["location"] == "/claim"
                is_shut = answer.status_code == 503 or (door.guard.page and door.method == "GET" and to_claim)
                if door.guard.permission != UNCLAIMED and not is_shut:
                    broken.append(f"{door} answers {answer.status_code}")
        assert not broken, "\n".join(broken)


# ── the checks themselves: with a guard taken away, the walker must see it ──────────────────────────────────────


class WithoutForgeryCheck(AccessGate):
    async def _check_forgery(self, *_: object) -> None: ...


class WithoutRights(AccessGate):
    async def _check_rights(self, *_: object) -> None: ...


class WithoutOwners(AccessGate):
    async def _check_object(self, *_: object) -> None: ...


class TakesTokensEverywhere(AccessGate):
    def _check_way(self, *_: object) -> None: ...


class WithoutCredentials(AccessGate):
    """Everybody is the owner."""

    async def admit(self, request: Any, guard: Guard) -> Subject | None:
        request.state.subject = subject = Subject("x", "none", self.team, team_wide(self.team, all_permissions()))
        request.state.peer = None
        return subject

    team = ""


@pytest.mark.parametrize(
    ("gate", "check"),
    [
        (WithoutForgeryCheck, checks.check_forgery), (WithoutRights, checks.check_roles),
        (WithoutRights, checks.check_scopes), (WithoutOwners, checks.check_owners),
        (WithoutCredentials, checks.check_credentials), (WithoutCredentials, checks.check_media_types),
        (TakesTokensEverywhere, checks.check_pages_take_no_tokens), (WithoutCredentials, checks.check_forgery), (WithoutCredentials, checks.check_roles),
    ],
)  # fmt: skip
async def test_a_missing_guard_is_noticed(world: World, gate: type[AccessGate], check: Check) -> None:
    """At harmless doors: they read, or change nothing when they are asked for nothing."""
    harmless = {"GET /api/v1/events/verify", "PATCH /api/v1/projects/{project_id}", "GET /projects/{project_id}"}
    doors = [door for door in world.doors if str(door) in harmless]
    working = world.app.state.gate
    assert await check(world, doors) == []
    world.app.state.gate = gate(world.app.state.resources, UNLIMITED)
    try:
        assert await check(world, doors) != []
    finally:
        world.app.state.gate = working


async def test_failures_inside_tell_nothing_and_open_nothing(world: World) -> None:
    """A database that fails, in the gate and behind it: never an open door, never a word of what happened."""

    class Failing:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(f"canary-of-a-failure {name}")

    resources, working = world.app.state.resources, world.app.state.gate
    failing = replace(resources, db=Failing(), systems=Failing())
    broken = []
    for gate_resources in (resources, failing):
        world.app.state.resources, world.app.state.gate = failing, AccessGate(gate_resources, UNLIMITED)
        try:
            for door in world.doors:
                status, text = await checks.ask(world, door)
                if "canary-of-a-failure" in text or "Traceback" in text:
                    broken.append(f"{door} tells what failed")
                if gate_resources is failing and not door.is_open and status < 300:
                    broken.append(f"{door} opens when the gate cannot look anything up")
        finally:
            world.app.state.resources, world.app.state.gate = resources, working
    assert not broken, "\n".join(broken)
