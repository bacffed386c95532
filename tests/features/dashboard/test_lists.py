"""The lists of the panel through their doors: what is asked for, what a guest sees of it, and what it is told live."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from tests.attacks.people import User as Person
from tests.attacks.people import add_person, add_user, browser_of
from tests.conftest import API_TOKEN, client_of, copy_claimed, make_settings, running_app
from tests.features.access.test_gate import Reader

from orca.features.deployments.models import Deployment
from orca.features.identity.models import User
from orca.web.live import PAUSE_SECONDS

NAMES = {"Shop": ("till", "cart"), "Blog": ("gutenberg",)}


@dataclass
class House:
    app: FastAPI
    client: httpx.AsyncClient
    projects: dict[str, str] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)

    async def add(self, project: str, name: str) -> None:
        body = {"name": name, "source": {"type": "image", "image": "registry.example.org/app:1"}}
        answer = await self.client.post(f"/api/v1/projects/{self.projects[project]}/services", json=body)
        self.services[name] = answer.json()["id"]

    async def guest(self, role: str, project: str) -> Person:
        user = await add_user(self.app)
        body = {"email": user.email, "role": role, "project_id": self.projects[project]}
        assert (await self.client.post("/api/v1/grants", json=body)).status_code == 201
        return user


@pytest.fixture
async def house(tmp_path: Path, claimed_data: Path) -> AsyncIterator[House]:
    copy_claimed(claimed_data, tmp_path / "data", None)
    async with (
        running_app(make_settings(tmp_path / "data")) as app,
        client_of(app, Authorization=f"Bearer {API_TOKEN}") as client,
    ):
        made = House(app, client)
        for project, names in NAMES.items():
            made.projects[project] = (await client.post("/api/v1/projects", json={"name": project})).json()["id"]
            for name in names:
                await made.add(project, name)
        yield made


class Stream(Reader):
    """Keeps what the stream sends."""

    def __init__(self, app: FastAPI, cookie: str, path: str) -> None:
        self.text = ""
        self._more = asyncio.Event()
        super().__init__(app, cookie, path=path)

    async def _send(self, message: dict[str, object]) -> None:
        await super()._send(message)
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        self.text += body.decode()
        self._more.set()

    async def wait_for(self, text: str) -> None:
        async with asyncio.timeout(10):
            while text not in self.text:
                self._more.clear()
                await self._more.wait()


def stream_of(house: House, browser: httpx.AsyncClient, path: str) -> Stream:
    return Stream(house.app, "; ".join(f"{name}={value}" for name, value in browser.cookies.items()), path)


def rows(page: str) -> list[str]:
    return re.findall(r'<tr id="row-[^>]*>.*?class="cover cell-main"[^>]*>([^<]+)<', page, re.DOTALL)


def chips(page: str) -> dict[str, int]:
    return {
        label: int(count)
        for label, count in re.findall(r"<span>([^<]+)</span> <span class=\"list-chip-count\">(\d+)<", page)
    }


async def test_the_overview_is_searched_filtered_sorted_and_grouped_by_its_address(house: House) -> None:
    async with browser_of(house.app) as browser:
        page = (await browser.get("/")).text
        assert rows(page) == ["cart", "gutenberg", "till"]
        assert (chips(page)["All"], chips(page)["Not deployed"], chips(page)["Running"]) == (3, 3, 0)
        assert rows((await browser.get("/?sort=-name")).text) == ["till", "gutenberg", "cart"]
        assert rows((await browser.get("/?q=SHOP+t")).text) == ["cart", "till"]
        assert rows((await browser.get("/?state=empty&q=blog")).text) == ["gutenberg"]
        nothing = html.unescape((await browser.get("/?state=running")).text)
        assert "No services match" in nothing
        assert "Clear search and filters" in nothing
        grouped = await browser.get("/?group=project&sort=name")
        titles = re.findall(r'class="list-group-line"><a[^>]*>([^<]+)<', grouped.text)
        assert (titles, rows(grouped.text)) == (["Blog", "Shop"], ["gutenberg", "cart", "till"])
        assert grouped.headers["HX-Replace-Url"] == "/?sort=name&group=project"
        projects = (await browser.get("/projects")).text
        assert rows(projects) == ["Blog", "Shop"]
        assert "2 not deployed" in projects


async def test_a_guest_sees_the_rows_and_counts_of_the_granted_project_and_is_told_of_these_only(house: House) -> None:
    guest = await house.guest("viewer", "Shop")
    async with browser_of(house.app, guest.email) as browser:
        page = (await browser.get("/")).text
        assert rows(page) == ["cart", "till"]
        assert chips(page)["All"] == 2
        assert 'name="verb"' not in page
        projects = (await browser.get("/projects")).text
        assert (rows(projects), "gutenberg" in projects) == (["Shop"], False)
        streams = [stream_of(house, browser, path) for path in ("/live/overview", "/live/projects", "/live/activity")]
        assert [await stream.first_line() for stream in streams] == [200, 200, 200]
        await house.add("Blog", "gazette")
        await house.add("Shop", "basket")
        await streams[0].wait_for("basket")
        await asyncio.sleep(PAUSE_SECONDS * 2)
        for stream in streams:
            assert "gutenberg" not in stream.text
            assert "gazette" not in stream.text
            await stream.leave()
        elsewhere = stream_of(house, browser, f"/projects/{house.projects['Blog']}/live")
        assert await elsewhere.first_line() == 404


async def test_a_live_page_ends_with_a_right_that_only_its_drawing_asks_for(house: House) -> None:
    async with browser_of(house.app) as browser:
        stream = stream_of(house, browser, "/live/activity")
        assert await stream.first_line() == 200
        async with house.app.state.resources.db.write() as session:
            await session.execute(update(User).values(is_instance_admin=False))
        await stream.end(10)


async def test_an_idle_page_draws_nothing_and_a_deployment_is_shown_at_once(house: House) -> None:
    async with browser_of(house.app) as browser:
        stream = stream_of(house, browser, "/live/overview")
        await stream.wait_for("event: whole")
        await stream.wait_for("event: beat")
        assert stream.text.count("event: whole") == 1
        answer = await browser.post(f"/services/{house.services['till']}/deploy")
        assert answer.status_code == 303
        await stream.wait_for('data-state="deploying"')
        await stream.leave()


async def test_several_services_are_acted_on_under_the_rights_for_each(house: House) -> None:
    member = await house.guest("member", "Shop")
    ids = [house.services[name] for name in ("till", "cart", "gutenberg")]
    async with browser_of(house.app, member.email) as browser:
        assert 'name="verb" value="deploy"' in (await browser.get("/")).text
        answer = await browser.post("/bulk/services", data={"id": ids, "verb": "deploy", "back": "/?q=shop"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/?q=shop")
        said = html.unescape(httpx.URL(f"http://x/?{answer.headers['set-cookie']}").query.decode())
        assert "begun%20for%202%20of%203" in answer.headers["set-cookie"]
        assert "gutenberg" not in said
    async with house.app.state.resources.db.read() as session:
        begun = (await session.scalars(select(Deployment))).all()
    assert {row.service_id for row in begun} == {house.services["till"], house.services["cart"]}
    assert all(row.permissions and "service.deploy" in row.permissions for row in begun)
    viewer = await add_person(house.app, "viewer")
    async with browser_of(house.app, viewer.email) as browser:
        answer = await browser.post("/bulk/services", data={"id": ids[:1], "verb": "stop", "back": "//evil.example"})
        assert answer.headers["location"] == "/"
        assert "service.operate" in answer.headers["set-cookie"]
        assert (await browser.post("/bulk/services", data={"id": ids[:1], "verb": "remove"})).status_code == 422
