"""The settings section, the switchers of the breadcrumb, and pages that do not exist."""

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from tests.attacks.fixtures import anonymous, app, module_app
from tests.attacks.fixtures import local as client
from tests.attacks.people import add_person, add_team, browser_of

from orca.features.dashboard.instance import describe_settings
from orca.settings import Auth, Settings

__all__ = ["anonymous", "app", "client", "module_app"]
pytestmark = pytest.mark.asyncio(loop_scope="module")
HTML = {"Accept": "text/html"}


async def make(client: httpx.AsyncClient, project: str, *services: str) -> tuple[str, list[str]]:
    project_id = (await client.post("/api/v1/projects", json={"name": project})).json()["id"]
    ids = []
    for name in services:
        body = {"name": name, "type": "web", "build_source": {"type": "image", "image": "registry.example.org/app:1"}}
        ids.append((await client.post(f"/api/v1/projects/{project_id}/services", json=body)).json()["id"])
    return project_id, ids


async def test_settings_lead_to_the_first_page_one_may_open(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert (await client.get("/settings")).headers["location"] == "/settings/instance"
    async with browser_of(app, (await add_person(app, "viewer")).email) as viewer:
        assert (await viewer.get("/settings")).headers["location"] != "/settings/instance"
        assert (await viewer.get("/settings/instance", headers=HTML)).status_code == 403


async def test_the_instance_shows_every_setting(client: httpx.AsyncClient) -> None:
    page = (await client.get("/settings/instance")).text
    for name in ("ORC_BASE_URL", "ORC_ACME_EMAIL", "ORC_GIT_PRIVATE_NETWORKS", "ORC_KEEP_LOG_DAYS", "DATABASE_URL"):
        assert f">{name}<" in page


async def test_secrets_are_named_and_not_shown() -> None:
    token = "0123456789012345678901234567890123456789"
    settings = Settings(auth=Auth(token=SecretStr(token)), database_url=SecretStr("postgresql://u:hunter2@db/orca"))
    rows = {row.variable: row for topic in describe_settings(settings).values() for row in topic}
    assert (rows["ORC_AUTH_TOKEN"].value, rows["DATABASE_URL"].value) == ("set, not shown",) * 2
    assert rows["ORC_AUTH_TOKEN"].is_set
    assert not rows["ORC_BASE_DOMAIN"].is_set
    assert all(secret not in str(rows) for secret in (token, "hunter2"))


async def test_switchers_list_neighbours_and_keep_the_tab(client: httpx.AsyncClient) -> None:
    project, (web, api) = await make(client, "Switch yard", "yard web", "yard api")
    here = {"HX-Current-URL": f"http://localhost/services/{web}/domains"}
    shown = (await client.get("/switcher/services", params={"project": project}, headers=here)).text
    assert f'href="/services/{api}/domains"' in shown
    assert f'href="/services/{web}/domains" aria-current="true"' in shown
    shown = (await client.get("/switcher/services", params={"project": project, "q": "API"}, headers=here)).text
    assert web not in shown
    assert f'href="/projects/{project}"' in (await client.get("/switcher/projects", params={"q": "switch"})).text
    assert "Nothing is called so" in (await client.get("/switcher/projects", params={"q": "zzz"})).text


async def test_switchers_show_nothing_of_another_team(app: FastAPI, client: httpx.AsyncClient) -> None:
    project, _ = await make(client, "Hidden yard", "hidden web")
    person = await add_person(app, "owner", team_id=await add_team(app, "elsewhere"))
    async with browser_of(app, person.email) as stranger:
        for path in (f"/switcher/services?project={project}", "/switcher/projects?q=hidden"):
            assert "idden" not in (await stranger.get(path)).text


async def test_a_missing_page_keeps_the_navigation_for_those_who_are_signed_in(
    app: FastAPI, anonymous: httpx.AsyncClient
) -> None:
    async with browser_of(app) as person:
        for path in ("/nowhere", "/services/01a23117-58d4-737b-a709-a90d39e01cf2"):
            missing = await person.get(path, headers=HTML)
            assert missing.status_code == 404
            assert 'class="nav-link"' in missing.text
    stranger = await anonymous.get("/nowhere", headers=HTML)
    assert stranger.status_code == 404
    assert 'class="nav-link"' not in stranger.text
