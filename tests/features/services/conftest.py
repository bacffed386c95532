"""Every door test of this feature runs on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from tests.attacks.people import add_person, add_team, add_token
from tests.conftest import client_of, copy_claimed, make_settings, running_app

SEED = {
    "name": "API Server",
    "type": "webapp",
    "build_source": {"type": "git", "repository": "https://github.com/user/repo", "branch": "main"},
    "ports": [{"name": "http", "port": 8080, "public": True}],
}


@pytest.fixture
async def app(tmp_path: Path, database_url: str | None, claimed_data: Path) -> AsyncIterator[FastAPI]:
    copy_claimed(claimed_data, tmp_path / "data", database_url)
    async with running_app(make_settings(tmp_path / "data", database_url=database_url)) as running:
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
    """A member of the team with the role viewer."""
    async with client_of(
        app, Authorization=f"Bearer {await add_token(app, await add_person(app, 'viewer'), '*')}"
    ) as http:
        yield http
