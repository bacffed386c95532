"""The page of a project: what is in it, what is in the way of its end; and the overview's list of what needs a look."""

import html
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, update
from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app
from tests.features.dashboard.test_pages import Filled, filled, text_of

from orca.features.deployments.models import Deployment, LiveRelease

pytestmark = pytest.mark.slow

__all__ = ["filled"]
SITE = {"name": "Site", "type": "static", "build_source": {"type": "directory"}}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    async with running_app(make_settings(tmp_path / "data")) as running:
        await claim(running)
        yield running


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as http:
        yield http


@pytest.fixture
async def project(client: httpx.AsyncClient) -> str:
    return str((await client.post("/api/v1/projects", json={"name": "Shop"})).json()["id"])


async def make_service(client: httpx.AsyncClient, project: str) -> str:
    return str((await client.post(f"/api/v1/projects/{project}/services", json=SITE)).json()["id"])


def main_of(answer: httpx.Response) -> str:
    return html.unescape(answer.text).partition("<main")[2]


async def test_a_name_that_cannot_be_used_is_told_at_its_field(client, browser, project):
    path = f"/projects/{project}/rename"
    answer = await browser.post(path, data={"name": "", "description": "of the shop"})
    assert (answer.status_code, 'id="name-error"' in answer.text) == (422, True)
    assert 'value="of the shop"' in answer.text
    assert (await browser.post(path, data={"name": "Store", "description": ""})).status_code == 303
    stored = (await client.get(f"/api/v1/projects/{project}")).json()
    assert (stored["name"], stored["description"]) == ("Store", "")


async def test_a_volume_is_destroyed_from_the_project_it_belongs_to(client, browser, project):
    service = await make_service(client, project)
    body = {"name": "data", "path": "/data"}
    volume = (await client.post(f"/api/v1/services/{service}/volumes", json=body)).json()["id"]
    await client.delete(f"/api/v1/services/{service}/volumes/{volume}")
    answer = await browser.post(f"/volumes/{volume}/destroy", data={"confirm": "data"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/projects/{project}")
    assert "being destroyed" in answer.headers["set-cookie"].replace("%20", " ")


async def test_the_overview_names_what_failed_and_why(filled: Filled) -> None:
    service = filled.large.service
    async with filled.app.state.resources.db.write() as session:
        await session.execute(delete(LiveRelease).where(LiveRelease.service_id == service))
        failed = update(Deployment).where(Deployment.service_id == service)
        await session.execute(
            failed.values(state="failed", reason="the builder ran out of memory", hint="Give it more.")
        )
    page = html.unescape(await text_of(filled, "/")).partition("<tbody>")[2]
    row = page[: page.index("Service 0001")]
    assert "Service 0000" in row
    assert "The builder ran out of memory" in row
    assert 'href="/deployments/' in row
    top = html.unescape(await text_of(filled, f"/services/{service}"))
    assert "failed</p>" in top
    assert "The builder ran out of memory" in top
    assert "Give it more." in top
