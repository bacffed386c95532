"""One claimed instance for a whole module, swept clean after each test: starting one takes longer than most tests.

A module that uses these says `pytestmark = pytest.mark.asyncio(loop_scope="module")`; its conftest imports them.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import delete, update
from tests.attacks.people import PASSWORD, hashed, local_client
from tests.conftest import API_TOKEN, OWNER, client_of, copy_claimed, make_settings, running_app

from orca.features.access.gate import AccessGate
from orca.features.access.models import ApiToken, Membership, Team
from orca.features.identity.models import Attempt, BrowserSession, User


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_app(tmp_path_factory: pytest.TempPathFactory, claimed_data: Path) -> AsyncIterator[FastAPI]:
    data_dir = tmp_path_factory.mktemp("orca") / "data"
    copy_claimed(claimed_data, data_dir, None)
    async with running_app(make_settings(data_dir)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def app(module_app: FastAPI) -> AsyncIterator[FastAPI]:
    """The claimed instance of this module with its owner as the only user."""
    yield module_app
    await sweep(module_app)


@pytest_asyncio.fixture(loop_scope="module")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the API as the instance's administrator."""
    async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as http:
        yield http


@pytest_asyncio.fixture(loop_scope="module")
async def local(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the API and opens pages as Orca's own user on its machine; pages take no tokens."""
    async with local_client(app) as http:
        yield http


@pytest_asyncio.fixture(loop_scope="module")
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the API without signing in."""
    async with client_of(app) as http:
        yield http


async def sweep(app: FastAPI) -> None:
    """Reset to the owner as the only user, with no attempts counted and no session open."""
    others = User.email != OWNER["email"]
    async with app.state.resources.db.write() as session:
        for model in (Attempt, BrowserSession, ApiToken):
            await session.execute(delete(model))
        for statement in (delete(User).where(others), delete(Team).where(Team.slug != "default")):
            await session.execute(statement)
        await session.execute(delete(Membership).where(Membership.role != "owner"))
        await session.execute(update(User).values(password_hash=hashed(PASSWORD), disabled_at=None))
    app.state.gate = AccessGate(app.state.resources)
