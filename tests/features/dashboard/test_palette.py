"""The command palette: what it offers where, to whom, for which words, and that it does things by the pages' doors."""

import re
from collections.abc import Sequence
from html import unescape

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from tests.attacks.fixtures import anonymous, app, module_app
from tests.attacks.fixtures import local as client
from tests.attacks.people import add_person, add_team, browser_of
from tests.conftest import client_of

from orca.db import now
from orca.features.dashboard.palette import ServiceSelection, place_of, read_words
from orca.features.deployments.models import Build, Deployment, LiveRelease, Release
from orca.features.services.models import Service
from orca.kit.ids import new_id

__all__ = ["anonymous", "app", "client", "module_app"]
pytestmark = pytest.mark.asyncio(loop_scope="module")
_ENTRY = re.compile(
    r'(?:<form method="post" action="(?P<action>[^"]+)".*?)?<(?:a|button) class="palette-item"(?:[^>]*? href="(?P<href>[^"]+)")?'
    r"[^>]*>.*?</svg>(?P<label>.*?)<span",
    re.DOTALL,
)
Entries = Sequence[tuple[str, str, bool]]


async def ask(client: httpx.AsyncClient, text: str = "", at: str = "/") -> Entries:
    """(label, address, whether it posts), in their order."""
    answer = await client.get("/palette", params={"q": text}, headers={"HX-Current-URL": f"http://localhost{at}"})
    assert answer.status_code == 200, answer.text
    found = _ENTRY.finditer(answer.text)
    return [(unescape(each["label"]), each["href"] or each["action"], each["action"] is not None) for each in found]


def labels(entries: Entries) -> list[str]:
    return [label for label, _, _ in entries]


async def make(client: httpx.AsyncClient, project: str, service: str) -> tuple[str, str]:
    project_id = (await client.post("/api/v1/projects", json={"name": project})).json()["id"]
    body = {"name": service, "type": "web", "build_source": {"type": "image", "image": "registry.example.org/app:1"}}
    made = await client.post(f"/api/v1/projects/{project_id}/services", json=body)
    assert made.status_code == 201, made.text
    return project_id, made.json()["id"]


async def go_live(app: FastAPI, service: str) -> str:
    """As after its first deployment, whose id is returned."""
    async with app.state.resources.db.write() as session:
        team = (await session.get_one(Service, service)).team_id
        mine = {"team_id": team, "service_id": service}
        build = Build(**mine, state="succeeded")
        session.add(build)
        await session.flush()
        release = Release(**mine, number=1, build_id=build.id, image="app", config={})
        session.add(release)
        await session.flush()
        deployment = Deployment(
            **mine, number=1, kind="deploy", state="succeeded", build_id=build.id, release_id=release.id, source={},
            config={}, warnings=[], started_at=now(), finished_at=now(),
        )  # fmt: skip
        session.add(deployment)
        await session.flush()
        session.add(LiveRelease(**mine, release_id=release.id, deployment_id=deployment.id, since=now()))
        return deployment.id


async def test_on_a_service_page_what_it_can_do_comes_first_and_enter_is_harmless(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    project, service = await make(client, "Bakery", "oven")
    assert not {"Restart oven", "Start oven"} & {*labels(await ask(client, at=f"/services/{service}"))}
    deployment = await go_live(app, service)
    entries = await ask(client, at=f"/services/{service}/settings?x=1")
    assert labels(entries)[:14] == [
        "Logs of oven", "Deploy oven", "Restart oven", "Open a shell in oven", "Overview of oven", "Deployments of oven", "Roll back oven…",
        "Variables of oven", "Domains of oven", "Push hooks of oven", "Volumes of oven", "Settings of oven", "Stop oven…", "New service in Bakery",
    ]  # fmt: skip
    assert entries[0] == ("Logs of oven", f"/services/{service}/output", False)
    assert [each for each in entries if each[2]] == [
        ("Deploy oven", f"/services/{service}/deploy", True), ("Restart oven", f"/services/{service}/operate/restart", True),
    ]  # fmt: skip
    assert labels(await ask(client, at=f"/deployments/{deployment}"))[1] == "Deploy oven"
    assert labels(await ask(client, "vari", at=f"/services/{service}"))[0] == "Variables of oven"
    assert labels(await ask(client, at=f"/projects/{project}"))[0] == "New service in Bakery"
    assert "Deploy oven" not in labels(await ask(client, at="/services/nope"))


async def test_words_lead_to_services_and_to_what_one_does_with_them(app: FastAPI, client: httpx.AsyncClient) -> None:
    _, service = await make(client, "Garden", "greenhouse")
    await go_live(app, service)
    assert (await ask(client, "greenh"))[:4] == [
        ("greenhouse", f"/services/{service}", False), ("Logs of greenhouse", f"/services/{service}/output", False),
        ("Deploy greenhouse", f"/services/{service}/deploy", True),
        ("Restart greenhouse", f"/services/{service}/operate/restart", True),
    ]  # fmt: skip
    assert await ask(client, "restart Green") == [("Restart greenhouse", f"/services/{service}/operate/restart", True)]
    assert labels(await ask(client, "logs of greenhouse")) == ["Logs of greenhouse"]
    assert labels(await ask(client, "new service in gard")) == ["New service in Garden"]
    assert "New project" in labels(await ask(client, "new"))
    assert await ask(client, "open shell greenh") == [
        ("Open a shell in greenhouse", f"/services/{service}#shell", False)
    ]
    assert await ask(client, "zzz 100%_") == []
    assert await ask(client, "stop greenhouse") == [("Stop greenhouse…", f"/services/{service}#stop", False)]
    for word in ("stop", "delete", "rollback"):
        assert not any(posts for _, _, posts in await ask(client, f"{word} greenhouse"))


async def test_what_is_inside_of_services_is_found(app: FastAPI, client: httpx.AsyncClient) -> None:
    project, service = await make(client, "Harbour", "lighthouse")
    deployment = await go_live(app, service)
    route = {"hostname": "beacon.example.org", "tls": "off"}
    assert (await client.post(f"/api/v1/services/{service}/routes", json=route)).status_code == 201
    secret = {"value": "hunter2-value", "is_secret": False}
    for owner in (f"services/{service}", f"projects/{project}"):
        answer = await client.put(f"/api/v1/{owner}/variables/LAMP_OIL", json=secret)
        assert answer.status_code in {200, 201}, answer.text
    assert ("beacon.example.org", f"/services/{service}/domains", False) in await ask(client, "beacon")
    assert list(await ask(client, "lamp_o")) == [
        ("LAMP_OIL", f"/services/{service}/variables", False), ("LAMP_OIL", f"/projects/{project}/variables", False),
    ]  # fmt: skip
    assert await ask(client, "hunter2-value") == []
    assert await ask(client, "#1 lighth") == [("lighthouse #1", f"/deployments/{deployment}", False)]
    assert await ask(client, f"#{10**12} lighth") == []
    rival = await add_person(app, "owner", team_id=await add_team(app, f"rivals-{new_id()[-8:]}"))
    async with browser_of(app, rival.email) as browser:
        for text in ("beacon", "lamp_o", "#1 lighth"):
            assert await ask(browser, text) == []


async def test_a_slip_of_the_keys_finds_what_was_meant(app: FastAPI, client: httpx.AsyncClient) -> None:
    _, service = await make(client, "Meadow", "butterfly")
    await go_live(app, service)
    assert labels(await ask(client, "buterfly"))[0] == "butterfly"
    assert labels(await ask(client, "restrat buterfly")) == ["Restart butterfly"]
    assert ("Activity", "/activity", False) in await ask(client, "activty")
    assert await ask(client, "xqzwvk") == []


async def test_what_was_seen_lately_comes_first_and_only_to_those_who_may_know(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    project, service = await make(client, "Orchard", "apple")
    recent = {"recent": f"services/{service},projects/{project},services/nope,../../x,deployments/1"}
    shown = (await client.get("/palette", params=recent)).text
    assert shown.index("Recent") < shown.index(f"/services/{service}") < shown.index(f"/projects/{project}")
    assert shown.count(f'href="/services/{service}"') == 1
    rival = await add_person(app, "owner", team_id=await add_team(app, f"rivals-{new_id()[-8:]}"))
    async with browser_of(app, rival.email) as browser:
        assert "apple" not in (await browser.get("/palette", params=recent)).text


async def test_a_greater_than_asks_for_actions_alone(app: FastAPI, client: httpx.AsyncClient) -> None:
    _, service = await make(client, "Mill", "grindstone")
    await go_live(app, service)
    assert labels(await ask(client, ">grindst")) == ["Logs of grindstone", "Deploy grindstone", "Restart grindstone"]
    assert "Projects" not in labels(await ask(client, ">"))
    assert 'data-theme-set="dark"' in (await client.get("/palette", params={"q": "theme: dark"})).text


async def test_services_that_cannot_be_acted_on_take_no_place_from_those_that_can(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    project, _ = await make(client, "Brewery", "aaa-0")
    for number in range(1, 10):
        body = {"name": f"aaa-{number}", "build_source": {"type": "image", "image": "registry.example.org/app:1"}}
        await client.post(f"/api/v1/projects/{project}/services", json=body)
    _, service = await make(client, "Dairy", "zzz-milk")
    await go_live(app, service)
    async with app.state.resources.db.write() as session:
        others = update(Service).where(Service.id != service).values(desired_state="stopped")
        await session.execute(others)
    assert "Restart zzz-milk" in labels(await ask(client, "restart"))
    assert await ask(client, "hooks milk") == [("Push hooks of zzz-milk", f"/services/{service}/hooks", False)]
    assert [label[:10] for label in labels(await ask(client, "push hooks"))] == ["Push hooks"] * 3


async def test_a_folder_that_was_never_sent_cannot_be_deployed(app: FastAPI, client: httpx.AsyncClient) -> None:
    _, service = await make(client, "Attic", "box")
    async with app.state.resources.db.write() as session:
        source = update(Service).where(Service.id == service).values(source={"type": "directory", "upload_id": None})
        await session.execute(source)
    assert "Deploy box" not in labels(await ask(client, at=f"/services/{service}"))


async def test_a_stopped_service_is_started(app: FastAPI, client: httpx.AsyncClient) -> None:
    _, service = await make(client, "Night", "lamp")
    await go_live(app, service)
    async with app.state.resources.db.write() as session:
        await session.execute(update(Service).where(Service.id == service).values(desired_state="stopped"))
    offered = labels(await ask(client, at=f"/services/{service}"))
    assert "Start lamp" in offered
    assert "Restart lamp" not in offered


async def test_nobody_is_offered_what_they_may_not_do(app: FastAPI, client: httpx.AsyncClient) -> None:
    _, service = await make(client, "Library", "catalogue")
    await go_live(app, service)
    viewer = await add_person(app, "viewer")
    async with browser_of(app, viewer.email) as browser:
        entries = await ask(browser, at=f"/services/{service}")
        assert "Logs of catalogue" in labels(entries)
        assert not any(posts for _, _, posts in entries)
        assert not any("shell" in label for label in labels(entries))
        assert not any(label.startswith("New") for label in labels(await ask(browser, "new")))
    rival = await add_person(app, "owner", team_id=await add_team(app, f"rivals-{new_id()[-8:]}"))
    async with browser_of(app, rival.email) as browser:
        assert not any("catalogue" in label for label in labels(await ask(browser, at=f"/services/{service}")))
        assert await ask(browser, "catalogue") == []
    async with client_of(app) as anonymous:
        assert (await anonymous.get("/palette")).status_code in {303, 401}


async def test_what_it_does_needs_the_token_of_the_session(app: FastAPI, client: httpx.AsyncClient) -> None:
    _, service = await make(client, "Press", "printer")
    async with browser_of(app) as browser:
        page = (await browser.get("/palette", params={"q": "deploy printer"})).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token
        csrf = browser.headers.pop("X-CSRF-Token")
        assert token[1] == csrf
        assert (await browser.post(f"/services/{service}/deploy", data={"csrf_token": "forged"})).status_code == 403
        assert (await browser.post(f"/services/{service}/deploy", data={"csrf_token": token[1]})).status_code == 303


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("http://localhost/services/ab-1", ("services", "ab-1")), ("https://x/projects/p/services/new", ("projects", "p")),
        ("http://x/deployments/d?y#z", ("deployments", "d")), ("http://x/", None), ("http://[", None), ("", None),
        ("http://x/services/a'b", None),
    ],
)  # fmt: skip
async def test_the_page_says_what_it_is_about(address: str, place: tuple[str, str] | None) -> None:
    assert place_of(address) == place


@pytest.mark.parametrize(
    ("text", "wishes", "grows"),
    [
        ("restart web", {ServiceSelection(("web",), "running")}, set()),
        ("web", set(), set()),
        ("New service in shop", set(), {ServiceSelection(("shop",))}),
        ("d", set(), set()),
        ("hooks of gitsvc", {ServiceSelection(("gitsvc",))}, set()),
        ("push hooks", {ServiceSelection(())}, set()),
        ("restart hooks", {ServiceSelection(("hooks",), "running"), ServiceSelection(("restart",))}, set()),
    ],
)
async def test_words_are_told_apart(text: str, wishes: set[ServiceSelection], grows: set[ServiceSelection]) -> None:
    words = read_words(text)
    assert (words.wishes, words.grows) == (wishes, grows)
