"""Every door test of this feature runs on SQLite and on PostgreSQL."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from tests.attacks.people import add_person, add_team, add_token
from tests.conftest import claim, client_of, make_settings, running_app

SEED = {
    "name": "API Server",
    "type": "webapp",
    "build_source": {"type": "git", "repository": "https://github.com/user/repo", "branch": "main"},
    "ports": [{"name": "http", "port": 8080, "public": True}],
}


@pytest.fixture(scope="session")
def claimed_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a claimed instance on SQLite: copied by each test, which is quicker than migrating."""
    folder = tmp_path_factory.mktemp("claimed") / "data"

    async def prepare() -> None:
        async with running_app(make_settings(folder)) as running:
            await claim(running)

    with ThreadPoolExecutor(1) as elsewhere:  # the loop of the tests is left alone
        elsewhere.submit(asyncio.run, prepare()).result(60)
    return folder


@pytest.fixture
async def app(tmp_path: Path, database_url: str | None, claimed_data: Path) -> AsyncIterator[FastAPI]:
    if database_url is None:
        shutil.copytree(claimed_data, tmp_path / "data")
    async with running_app(make_settings(tmp_path / "data", database_url=database_url)) as running:
        if database_url is not None:
            await claim(running)
        yield running


@pytest.fixture
async def project(client: httpx.AsyncClient) -> dict:
    return (await client.post("/api/v1/projects", json={"name": "My App"})).json()


@pytest.fixture
async def service(client: httpx.AsyncClient, project: dict) -> dict:
    return (await client.post(f"/api/v1/projects/{project['id']}/services", json=SEED)).json()


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The owner of another team."""
    person = await add_person(app, "owner", team_id=await add_team(app, "strangers"))
    async with client_of(app, Authorization=f"Bearer {await add_token(app, person, '*')}") as http:
        yield http


@pytest.fixture
async def viewer(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody in the team who may only look."""
    async with client_of(
        app, Authorization=f"Bearer {await add_token(app, await add_person(app, 'viewer'), '*')}"
    ) as http:
        yield http
