"""A claimed instance with two teams, a person of every role, and one object per path parameter in each team."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from tests.attacks.factories import FACTORIES, Place
from tests.attacks.inventory import Door, doors_of
from tests.attacks.people import ROLES, Person, add_person, add_team, browser_of, default_team
from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app

from orca.features.access.gate import AccessGate
from orca.features.access.rate_limit import Rate, RateLimits
from orca.features.identity.rules import Limit

UNLIMITED = RateLimits(
    each=Rate(10**9, 1e9), refused=Rate(10**9, 1e9), open_streams=1000,
    claim=Limit(10**6, 60), pushes=Rate(10**9, 1e9), unsigned=Rate(10**9, 1e9), reveal=Limit(10**6, 60),
)  # fmt: skip
"""The walker asks faster than any person; limits have tests of their own."""


@dataclass
class World:
    """Where the machines walk."""

    app: FastAPI
    doors: list[Door]
    ours: Place
    theirs: Place
    browsers: dict[str, httpx.AsyncClient]
    """A signed-in browser of our team per role."""
    admin: httpx.AsyncClient
    """The instance's own token."""
    anonymous: httpx.AsyncClient


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    settings = make_settings(tmp_path_factory.mktemp("attacks") / "data")
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(running_app(settings))
        await claim(app)
        app.state.gate = AccessGate(app.state.resources, UNLIMITED)
        people = {role: await add_person(app, role) for role in ROLES}
        rival = await add_person(app, "owner", team_id=await add_team(app, "rivals"))
        browsers = {
            role: await stack.enter_async_context(browser_of(app, person.email)) for role, person in people.items()
        }
        yield World(
            app=app,
            doors=doors_of(app),
            ours=await _furnish(app, people["owner"], browsers["owner"]),
            theirs=await _furnish(app, rival, await stack.enter_async_context(browser_of(app, rival.email))),
            browsers=browsers,
            admin=await stack.enter_async_context(client_of(app, Authorization=f"Bearer {API_TOKEN}")),
            anonymous=await stack.enter_async_context(client_of(app)),
        )
        assert await default_team(app) == people["owner"].team_id


async def _furnish(app: FastAPI, owner: Person, client: httpx.AsyncClient) -> Place:
    place = Place(app, owner, client)
    for parameter in FACTORIES:
        await place.get(parameter)
    return place
