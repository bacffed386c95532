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


async def test_what_is_in_the_way_of_a_deletion_is_named_before_and_after_the_click(client, browser, project):
    service = await make_service(client, project)
    volumes = [
        (await client.post(f"/api/v1/services/{service}/volumes", json={"name": name, "path": f"/{name}"})).json()
        for name in ("data", "other")
    ]
    await client.delete(f"/api/v1/services/{service}/volumes/{volumes[0]['id']}")
    page = main_of(await browser.get(f"/projects/{project}"))
    assert "Shop cannot be deleted yet" in page
    assert f'href="/services/{service}/settings">Site</a>' in page
    assert "stays when Site is deleted" in page
    assert f'action="/volumes/{volumes[0]["id"]}/destroy"' in page
    assert f'action="/volumes/{volumes[1]["id"]}/destroy"' not in page
    assert f'action="/projects/{project}/delete"' not in page
    refused = await browser.post(f"/projects/{project}/delete", data={"confirm": "Shop"})
    assert refused.status_code == 409
    assert "The project was not deleted" in main_of(refused)
    named = ", ".join(f"volume {each['name']} ({each['id']})" for each in volumes)
    assert f"still has: service site, {named}" in main_of(refused)


async def test_an_empty_project_goes_by_its_name_and_that_is_said(client, browser, project):
    assert f'action="/projects/{project}/delete"' in main_of(await browser.get(f"/projects/{project}"))
    wrong = await browser.post(f"/projects/{project}/delete", data={"confirm": "shop"})
    assert (wrong.status_code, "Type “Shop”" in main_of(wrong)) == (422, True)
    gone = await browser.post(f"/projects/{project}/delete", data={"confirm": "Shop"})
    assert (gone.status_code, gone.headers["location"]) == (303, "/projects")
    assert "Shop%20is%20deleted" in gone.headers["set-cookie"]
    assert (await client.get(f"/api/v1/projects/{project}")).status_code == 404


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
