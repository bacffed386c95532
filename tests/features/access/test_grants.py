"""Roles on parts of a team, given and taken through the doors, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, event, func, select, update
from sqlalchemy.exc import IntegrityError
from tests.attacks.people import Person, add_person, add_team, add_token, add_user, browser_of, default_team
from tests.conftest import API_TOKEN, client_of, copy_claimed, make_settings, running_app
from tests.features.access.test_gate import Reader

from orca.features.access.models import Membership, RoleGrant
from orca.features.access.queries import find_rights
from orca.features.identity.models import User
from orca.features.projects.models import Environment
from orca.features.services.models import Service
from orca.kit.ids import new_id
from orca.web.rights import ObjectScope

pytestmark = pytest.mark.slow
UNKNOWN = "01890000-0000-7000-8000-000000000000"
LISTS = ("projects", "services", "deployments", "events")


@pytest.fixture
async def app(tmp_path: Path, claimed_data: Path, database_url: str | None) -> AsyncIterator[FastAPI]:
    copy_claimed(claimed_data, tmp_path / "data", database_url)
    async with running_app(make_settings(tmp_path / "data", database_url=database_url)) as running:
        yield running


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as http:
        yield http


@dataclass
class House:
    """Two projects of a team, with a service in each; in the first also one of another environment."""

    app: FastAPI
    client: httpx.AsyncClient
    projects: dict[str, str] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    staging: str = ""

    async def give(self, user: User | Person, role: str, **part: str) -> httpx.Response:
        return await self.client.post("/api/v1/grants", json={"email": user.email, "role": role, **part})

    async def guest(self, role: str, **part: str) -> User:
        user = await add_user(self.app)
        assert (await self.give(user, role, **part)).status_code == 201
        return user


@pytest.fixture
async def house(app: FastAPI, client: httpx.AsyncClient) -> House:
    made = House(app, client)
    for project in ("Shop", "Blog"):
        made.projects[project] = (await client.post("/api/v1/projects", json={"name": project})).json()["id"]
    path = f"/api/v1/projects/{made.projects['Shop']}/environments"
    made.staging = (await client.post(path, json={"name": "Staging"})).json()["id"]
    for project, service, environment in (
        ("Shop", "till", "production"),
        ("Blog", "press", "production"),
        ("Shop", "rehearsal", "staging"),
    ):
        made.services[service] = await _service(made, project, service, environment)
    return made


async def _service(house: House, project: str, name: str, environment: str = "production") -> str:
    body = {"name": name, "source": {"type": "image", "image": "registry.example.org/app:1"}}
    path = f"/api/v1/projects/{house.projects[project]}/services"
    answer = await house.client.post(path, json=body | {"environment": environment})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def names(client: httpx.AsyncClient, what: str) -> set[str]:
    answer = await client.get(f"/api/v1/{what}")
    assert answer.status_code == 200, answer.text
    return {each["name"] for each in answer.json()["items"]}


async def count(app: FastAPI, *conditions: Any) -> int:
    async with app.state.resources.db.read() as session:
        return await session.scalar(select(func.count()).select_from(RoleGrant).where(*conditions)) or 0


async def test_a_guest_sees_the_granted_project_and_nothing_beside_it(house: House) -> None:
    guest = await house.guest("viewer", project_id=house.projects["Shop"])
    async with browser_of(house.app, guest.email) as browser:
        me = (await browser.get("/api/v1/me")).json()
        assert (me["role"], me["permissions"]) == ("guest", ["token.create", "token.read", "token.revoke"])
        assert [part["project_id"] for part in me["parts"]] == [house.projects["Shop"]]
        assert await names(browser, "projects") == {"Shop"}
        assert await names(browser, "services") == {"till", "rehearsal"}
        for event_ in (await browser.get("/api/v1/events")).json()["items"]:
            about = {event_["object_id"], event_["payload"].get("service_id")}
            inside = {house.projects["Shop"], house.staging, house.services["till"], house.services["rehearsal"]}
            assert about & inside, event_
        beside = await browser.get(f"/api/v1/projects/{house.projects['Blog']}")
        assert beside.status_code == 404
        assert (await browser.get(f"/api/v1/services/{house.services['press']}")).status_code == 404
        refused = await browser.patch(f"/api/v1/projects/{house.projects['Shop']}", json={"name": "Mine"})
        assert (refused.status_code, "project.update" in refused.text) == (403, True)
        assert (await browser.post("/api/v1/projects", json={"name": "More"})).status_code == 403
        assert (await browser.get("/api/v1/git-credentials")).status_code == 403


async def test_filters_and_counts_say_nothing_of_what_is_outside(house: House) -> None:
    guest = await house.guest("member", project_id=house.projects["Shop"])
    blog, press = house.projects["Blog"], house.services["press"]
    async with browser_of(house.app, guest.email) as browser:
        for path in (
            f"services?project_id={blog}", "services?slug=press", "projects?slug=blog", f"deployments?service_id={press}",
            f"events?object_id={press}", f"events?object_id={blog}",
        ):  # fmt: skip
            assert (await browser.get(f"/api/v1/{path}")).json()["items"] == [], path
        for path in ("/", "/projects", "/activity", "/activity?text=press", "/activity?about=Blog", "/palette?q=press"):
            page = await browser.get(path)
            assert page.status_code == 200, path
            assert not [word for word in (blog, press, ">Blog<", ">press<") if word in page.text], path
        assert ">till<" in (await browser.get("/")).text
        found = (await browser.get("/palette?q=till")).text
        assert f"/services/{house.services['till']}/deploy" in found or "Settings" in found


async def test_the_navigation_and_the_tabs_lead_nowhere_that_is_shut(house: House) -> None:
    guest = await house.guest("viewer", environment_id=house.staging)
    async with browser_of(house.app, guest.email) as browser:
        for path in ("/", f"/projects/{house.projects['Shop']}", f"/services/{house.services['rehearsal']}"):
            page = await browser.get(path)
            assert page.status_code == 200, page.text
            links = {part.split('"')[0] for part in page.text.split('href="')[1:]}
            for link in sorted(each for each in links if each.startswith("/") and "static" not in each):
                assert (await browser.get(link)).status_code in {200, 303}, (path, link)


async def test_a_grant_on_an_environment_shows_its_project_and_what_runs_there(house: House) -> None:
    guest = await house.guest("member", environment_id=house.staging)
    shop = house.projects["Shop"]
    async with browser_of(house.app, guest.email) as browser:
        assert await names(browser, "projects") == {"Shop"}
        assert await names(browser, "services") == {"rehearsal"}
        assert await names(browser, f"projects/{shop}/services") == {"rehearsal"}
        assert (await browser.get(f"/api/v1/projects/{shop}")).json()["name"] == "Shop"
        page = (await browser.get(f"/projects/{shop}")).text
        assert ">rehearsal<" in page
        assert ">till<" not in page
        assert (await browser.get(f"/api/v1/projects/{shop}/variables")).status_code == 404
        assert (await browser.get(f"/api/v1/services/{house.services['till']}")).status_code == 404
        changed = await browser.patch(f"/api/v1/services/{house.services['rehearsal']}", json={"replicas": 2})
        assert changed.status_code == 200, changed.text
        assert (await browser.get(f"/api/v1/projects/{house.projects['Blog']}")).status_code == 404


async def test_a_grant_on_an_environment_makes_services_there_alone(house: House) -> None:
    guest = await house.guest("member", environment_id=house.staging)
    shop = house.projects["Shop"]
    production, _ = (await house.client.get(f"/api/v1/projects/{shop}/environments")).json()
    body = {"name": "till", "source": {"type": "image", "image": "registry.example.org/app:1"}}
    async with browser_of(house.app, guest.email) as browser:
        assert [each["id"] for each in (await browser.get(f"/api/v1/projects/{shop}/environments")).json()] == [
            house.staging
        ]
        made = await browser.post(f"/api/v1/environments/{house.staging}/services", json=body)
        assert (made.status_code, made.json()["slug"]) == (201, "till-staging")
        assert await names(browser, "services") == {"rehearsal", "till"}
        for path, more in (
            (f"environments/{production['id']}/services", {}),
            (f"projects/{shop}/services", {"environment": "staging"}),
            (f"projects/{shop}/services", {}),
        ):
            assert (await browser.post(f"/api/v1/{path}", json=body | more)).status_code == 404, path
        into = await browser.post(
            f"/api/v1/environments/{house.staging}/services", json=body | {"environment": "production"}
        )
        assert into.status_code == 422
        for method in ("GET", "PATCH", "DELETE"):
            answer = await browser.request(method, f"/api/v1/environments/{production['id']}", json={"name": "Mine"})
            assert answer.status_code == (404 if method == "GET" else 403), method
        place = f"/api/v1/environments/{house.staging}"
        assert (await browser.get(place)).status_code == 200
        assert (await browser.patch(place, json={"name": "Mine"})).status_code == 403


async def test_filters_counts_and_logs_say_nothing_of_another_environment(house: House) -> None:
    guest = await house.guest("member", environment_id=house.staging)
    till = house.services["till"]
    async with browser_of(house.app, guest.email) as browser:
        for path in ("services?slug=till", f"deployments?service_id={till}", f"events?object_id={till}"):
            assert (await browser.get(f"/api/v1/{path}")).json()["items"] == [], path
        for path in ("/", f"/projects/{house.projects['Shop']}", "/projects", "/activity", "/palette?q=till"):
            page = await browser.get(path)
            assert page.status_code == 200, path
            assert not [word for word in (till, ">till<") if word in page.text], path
        for path in ("/", f"/projects/{house.projects['Shop']}"):
            assert '<span>All</span> <span class="list-chip-count">1</span>' in (await browser.get(path)).text, path
        assert f"/services/{house.services['rehearsal']}" in (await browser.get("/palette?q=rehearsal")).text
        for path in ("logs/lines", "logs", "status", "containers", "variables", "routes"):
            assert (await browser.get(f"/api/v1/services/{till}/{path}")).status_code == 404, path
        assert (await browser.get(f"/api/v1/services/{house.services['rehearsal']}/logs/lines")).status_code == 200


async def test_grants_end_with_their_environment(house: House) -> None:
    guest = await house.guest("member", environment_id=house.staging)
    service = house.services["rehearsal"]
    async with browser_of(house.app, guest.email) as browser:
        assert await names(browser, "projects") == {"Shop"}
        gone = await house.client.delete(f"/api/v1/services/{service}", params={"confirm": "rehearsal-staging"})
        assert gone.status_code == 204
        assert (await house.client.delete(f"/api/v1/environments/{house.staging}")).status_code == 204
        assert await count(house.app, RoleGrant.user_id == guest.id) == 0
        assert (await browser.get("/api/v1/projects")).status_code == 403
    body = {"email": guest.email, "role": "viewer", "environment_id": house.staging}
    assert (await house.client.post("/api/v1/grants", json=body)).status_code == 422


async def test_a_grant_on_a_system_covers_what_runs_there_in_the_team(house: House) -> None:
    guest = await house.guest("viewer", system_id="local")
    async with browser_of(house.app, guest.email) as browser:
        assert await names(browser, "services") == {"till", "press", "rehearsal"}
        assert await names(browser, "projects") == {"Shop", "Blog"}
        assert (await browser.get("/api/v1/systems")).status_code == 403
        assert (await browser.get(f"/api/v1/projects/{house.projects['Shop']}/variables")).status_code == 404
        assert (await browser.get(f"/projects/{house.projects['Shop']}")).status_code == 200


async def test_a_role_in_the_team_and_grants_add_up(house: House) -> None:
    viewer = await add_person(house.app, "viewer")
    assert (await house.give(viewer, "member", project_id=house.projects["Shop"])).status_code == 201
    async with browser_of(house.app, viewer.email) as browser:
        assert (await browser.get("/api/v1/me")).json()["role"] == "viewer"
        assert await names(browser, "projects") == {"Shop", "Blog"}
        for service, status in (("till", 200), ("press", 403)):
            path = f"/api/v1/services/{house.services[service]}"
            assert (await browser.patch(path, json={"replicas": 2})).status_code == status


async def test_a_token_has_its_scopes_within_the_grants_of_its_user(house: House) -> None:
    guest = await house.guest("member", project_id=house.projects["Shop"])
    async with browser_of(house.app, guest.email) as browser:
        wanted = {"name": "ci", "scopes": ["service.read", "service.update"], "expires_in_days": 1}
        made = await browser.post("/api/v1/tokens", json=wanted)
        assert made.status_code == 201, made.text
        beyond = await browser.post("/api/v1/tokens", json=wanted | {"scopes": ["service.delete"]})
        assert (beyond.status_code, "service.delete" in beyond.text) == (403, True)
        for preset in ("deploy", "read", "all"):
            page = await browser.post("/tokens", data={"name": preset, "preset": preset, "expires_in_days": "30"})
            assert (page.status_code, "orca_pat_" in page.text) == (200, True), page.text
    async with client_of(house.app, Authorization=f"Bearer {made.json()['token']}") as program:
        assert await names(program, "services") == {"till", "rehearsal"}
        path = f"/api/v1/services/{house.services['till']}"
        assert (await program.patch(path, json={"replicas": 2})).status_code == 200
        assert (await program.delete(path)).status_code == 403
        assert (await program.get("/api/v1/projects")).status_code == 403
        assert (await program.get(f"/api/v1/services/{house.services['press']}")).status_code == 404


async def test_a_grant_ends_with_the_next_request(house: House) -> None:
    guest = await add_user(house.app)
    first = (await house.give(guest, "viewer", project_id=house.projects["Shop"])).json()
    second = (await house.give(guest, "viewer", project_id=house.projects["Blog"])).json()
    member = Person(guest.id, guest.email, await default_team(house.app))
    token = await add_token(house.app, member, "*")
    async with (
        browser_of(house.app, guest.email) as browser,
        client_of(house.app, Authorization=f"Bearer {token}") as program,
    ):
        assert await names(program, "projects") == {"Shop", "Blog"}
        assert (await house.client.delete(f"/api/v1/grants/{first['id']}")).status_code == 204
        assert await names(browser, "projects") == await names(program, "projects") == {"Blog"}
        assert (await browser.get(f"/api/v1/projects/{house.projects['Shop']}")).status_code == 404
        await house.client.delete(f"/api/v1/grants/{second['id']}")
        assert (await program.get("/api/v1/projects")).status_code == 401
        me = (await browser.get("/api/v1/me")).json()
        assert (me["team_id"], me["permissions"], me["parts"]) == ("", [], [])
        assert (await browser.get("/")).status_code == 200


@pytest.mark.parametrize("which", ["the one of two", "the only one", "the role"])
async def test_a_stream_ends_soon_after_a_grant_does(house: House, which: str) -> None:
    person = await add_user(house.app)
    parts = {"the one of two": ("Shop", "Blog"), "the only one": ("Shop",), "the role": ("Shop",)}[which]
    grants = [(await house.give(person, "viewer", project_id=house.projects[each])).json() for each in parts]
    async with browser_of(house.app, person.email) as browser:
        cookie = f"orca_session={browser.cookies['orca_session']}"
        reader = Reader(house.app, cookie, path="/api/v1/events/stream", **{"last-event-id": "0"})
        assert await reader.first_line() == 200
        if which == "the role":
            async with house.app.state.resources.db.write() as session:
                await session.execute(update(RoleGrant).values(role="nothing"))
        else:
            await house.client.delete(f"/api/v1/grants/{grants[0]['id']}")
        await reader.end(7)


@pytest.mark.parametrize(
    ("part", "granted", "beside"), [("project", "till", "press"), ("environment", "rehearsal", "till")]
)
async def test_the_live_feed_tells_of_the_granted_part_only(house: House, part: str, granted: str, beside: str) -> None:
    parts = {"project": house.projects["Shop"], "environment": house.staging}
    guest = await house.guest("viewer", **{f"{part}_id": parts[part]})
    heard: list[str] = []
    came = asyncio.Event()

    class Listener(Reader):
        async def _send(self, message: dict[str, object]) -> None:
            heard.append(bytes(message.get("body", b"")).decode())
            if house.services[granted] in "".join(heard).rpartition("ServiceUpdated")[2]:
                came.set()
            await super()._send(message)

    async with browser_of(house.app, guest.email) as browser:
        cookie = f"orca_session={browser.cookies['orca_session']}"
        for more in ({}, {"last-event-id": "0"}):
            heard.clear()
            came.clear()
            reader = Listener(house.app, cookie, path="/api/v1/events/stream", **more)
            replicas = 2
            while not came.is_set():  # it may not listen yet
                for service in (beside, granted):
                    path = f"/api/v1/services/{house.services[service]}"
                    assert (await house.client.patch(path, json={"replicas": replicas})).status_code == 200
                replicas = 5 - replicas
                with suppress(TimeoutError):
                    await asyncio.wait_for(came.wait(), 1)
            await reader.leave()
            assert house.services[beside] not in "".join(heard)
            assert house.projects["Blog"] not in "".join(heard)


async def test_nobody_gives_more_than_they_may_do_there_themselves(house: House) -> None:
    shop = house.projects["Shop"]
    someone, admin = await add_user(house.app), await add_person(house.app, "admin")
    body = {"email": someone.email, "role": "member", "project_id": shop}
    for role in ("viewer", "member"):
        person = await add_person(house.app, role)
        assert (await house.give(person, "admin", project_id=shop)).status_code == 201
        async with browser_of(house.app, person.email) as browser:
            for mine in (body, body | {"email": person.email, "role": "admin", "project_id": house.projects["Blog"]}):
                assert (await browser.post("/api/v1/grants", json=mine)).status_code == 403
            assert (await browser.get("/api/v1/grants")).status_code == 403
            assert (await browser.get(f"/projects/{shop}/access")).status_code == 403
            own = (await house.client.get("/api/v1/grants", params={"user_id": person.id})).json()["items"][0]
            assert (await browser.delete(f"/api/v1/grants/{own['id']}")).status_code in {403, 404}
    few = await add_token(house.app, admin, "grant.manage", "project.read")
    async with client_of(house.app, Authorization=f"Bearer {few}") as program:
        refused = await program.post("/api/v1/grants", json=body)
        assert (refused.status_code, "service.deploy" in refused.text) == (403, True)
        refused = await program.post("/api/v1/grants", json=body | {"email": admin.email, "role": "viewer"})
        assert refused.status_code == 403
    async with browser_of(house.app, admin.email) as browser:
        assert (await browser.post("/api/v1/grants", json=body)).status_code == 201


@pytest.mark.parametrize("role", ["admin", "member", "viewer"])
async def test_no_grant_includes_what_is_about_the_whole_team(house: House, role: str) -> None:
    guest = await house.guest(role, project_id=house.projects["Shop"])
    async with browser_of(house.app, guest.email) as browser:
        held = {each for part in (await browser.get("/api/v1/me")).json()["parts"] for each in part["permissions"]}
        assert {"project.read", "service.read"} <= held
        assert not [
            each for each in held if each.partition(".")[0] in {"token", "grant", "certificate", "dns", "instance"}
        ]
        assert not held & {"project.create", "proxy.read", "metrics.read"}


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"email": "nobody@example.org"}, 422, "no user"),
        ({"project_id": UNKNOWN}, 422, "no project"),
        ({"project_id": None}, 422, "exactly one"),
        ({"system_id": "local"}, 422, "exactly one"),
        ({"project_id": None, "environment_id": UNKNOWN}, 422, "no environment"),
        ({"project_id": None, "system_id": "elsewhere"}, 422, "no system"),
        ({"role": "owner"}, 422, "role"),
        ({"role": "guest"}, 422, "role"),
    ],
)
async def test_what_is_no_grant_is_refused(house: House, change: dict[str, str], status: int, word: str) -> None:
    someone = await add_user(house.app)
    body = {"email": someone.email, "role": "viewer", "project_id": house.projects["Shop"]} | change
    answer = await house.client.post("/api/v1/grants", json={key: value for key, value in body.items() if value})
    assert (answer.status_code, word in answer.text) == (status, True), answer.text
    assert await count(house.app) == 0


async def test_objects_and_grants_of_another_team_are_out_of_reach(house: House) -> None:
    rival = await add_person(house.app, "owner", team_id=await add_team(house.app, "rivals"))
    guest = await house.guest("viewer", project_id=house.projects["Shop"])
    mine = (await house.client.get("/api/v1/grants", params={"user_id": guest.id})).json()["items"][0]
    async with browser_of(house.app, rival.email) as browser:
        body = {"email": guest.email, "role": "viewer", "project_id": house.projects["Shop"]}
        assert (await browser.post("/api/v1/grants", json=body)).status_code == 422
        assert (await browser.get("/api/v1/grants")).json()["items"] == []
        assert (await browser.delete(f"/api/v1/grants/{mine['id']}")).status_code == 404


async def test_a_second_role_on_the_same_part_is_refused(house: House) -> None:
    guest = await house.guest("viewer", project_id=house.projects["Shop"])
    again = await house.give(guest, "member", project_id=house.projects["Shop"])
    assert (again.status_code, "already" in again.text) == (409, True)
    assert (await house.give(guest, "member", environment_id=house.staging)).status_code == 201
    assert (await house.give(guest, "member", system_id="local")).status_code == 201


async def test_grants_are_listed_by_user_and_part(house: House) -> None:
    guest = await house.guest("viewer", project_id=house.projects["Shop"])
    await house.give(guest, "member", environment_id=house.staging)
    await house.guest("admin", system_id="local")
    for filters, parts in (
        ({}, {"Shop", "Staging of Shop", "local"}), ({"user_id": guest.id}, {"Shop", "Staging of Shop"}),
        ({"project_id": house.projects["Shop"]}, {"Shop"}), ({"environment_id": house.staging}, {"Staging of Shop"}),
        ({"system_id": "local"}, {"local"}), ({"role": "member"}, {"Staging of Shop"}), ({"user_id": UNKNOWN}, set()),
    ):  # fmt: skip
        items = (await house.client.get("/api/v1/grants", params=filters)).json()["items"]
        assert {each["part"] for each in items} == parts, filters
    assert {each["user_email"] for each in items} <= {guest.email}


async def test_giving_and_taking_is_in_the_trail(house: House) -> None:
    guest = await house.guest("viewer", project_id=house.projects["Shop"])
    grant = (await house.client.get("/api/v1/grants")).json()["items"][0]
    await house.client.delete(f"/api/v1/grants/{grant['id']}")
    for kind in ("GrantAdded", "GrantRemoved"):
        (found,) = (await house.client.get("/api/v1/events", params={"type": kind})).json()["items"]
        assert (found["object_id"], found["payload"]["role"], found["payload"]["part"]) == (guest.id, "viewer", "Shop")
    (joined,) = (
        await house.client.get("/api/v1/events", params={"type": "MemberAdded", "object_id": guest.id})
    ).json()["items"]
    assert joined["payload"] == {"role": "guest"}


async def test_grants_end_with_their_project_and_their_member(house: House) -> None:
    empty = (await house.client.post("/api/v1/projects", json={"name": "Empty"})).json()["id"]
    guest = await house.guest("viewer", project_id=empty)
    async with house.app.state.resources.db.read() as session:
        production = await session.scalar(select(Environment.id).where(Environment.project_id == empty))
    await house.give(guest, "viewer", environment_id=production)
    await house.give(guest, "viewer", project_id=house.projects["Blog"])
    assert (await house.client.delete(f"/api/v1/projects/{empty}")).status_code == 204
    assert await count(house.app, RoleGrant.user_id == guest.id) == 1
    other = await house.guest("viewer", project_id=house.projects["Shop"])
    async with house.app.state.resources.db.write() as session:
        await session.execute(delete(Membership).where(Membership.user_id == guest.id))
        await session.execute(delete(User).where(User.id == other.id))
    assert await count(house.app) == 0


async def test_a_row_names_exactly_one_part(house: House) -> None:
    person = await add_person(house.app, "viewer")
    row = {"team_id": person.team_id, "user_id": person.id, "role": "viewer"}
    for parts in ({}, {"project_id": house.projects["Shop"], "system_id": "local"}):
        with pytest.raises(IntegrityError):
            async with house.app.state.resources.db.write() as session:
                session.add(RoleGrant(id=new_id(), **row, **parts))


async def test_grants_cost_no_statement_more(house: House) -> None:
    guest = await house.guest("viewer", project_id=house.projects["Shop"])
    said: list[str] = []
    engine = house.app.state.resources.db.reader.sync_engine
    async with browser_of(house.app, guest.email) as browser:

        async def statements() -> int:
            await browser.get("/api/v1/services")
            said.clear()
            await browser.get("/api/v1/services")
            return len(said)

        event.listen(engine, "before_cursor_execute", lambda *told: said.append(told[2]))
        one = await statements()
        for part in ({"project_id": house.projects["Blog"]}, {"environment_id": house.staging}, {"system_id": "local"}):
            await house.give(guest, "viewer", **part)
        assert await statements() == one


async def test_a_guest_of_two_teams_switches_between_them(house: House) -> None:
    crew = await add_team(house.app, "crew")
    boss = await add_person(house.app, "owner", team_id=crew)
    guest = await house.guest("viewer", project_id=house.projects["Shop"])
    async with browser_of(house.app, boss.email) as browser:
        theirs = (await browser.post("/api/v1/projects", json={"name": "Ship"})).json()["id"]
        body = {"email": guest.email, "role": "member", "project_id": theirs}
        assert (await browser.post("/api/v1/grants", json=body)).status_code == 201
    async with browser_of(house.app, guest.email) as browser:
        assert await names(browser, "projects") == {"Shop"}
        assert (await browser.post(f"/teams/{crew}/enter")).status_code == 303
        assert await names(browser, "projects") == {"Ship"}
        assert (await browser.get(f"/api/v1/projects/{house.projects['Shop']}")).status_code == 404


async def test_what_is_done_for_a_user_counts_their_grants_on_the_object(house: House) -> None:
    guest = await house.guest("member", project_id=house.projects["Shop"])
    async with house.app.state.resources.db.read() as session:
        for name, may in (("till", True), ("press", False)):
            row = await session.get_one(Service, house.services[name])
            scope = ObjectScope(row.team_id, row.project_id, row.environment_id, row.system_id)
            email, permissions = await find_rights(session, guest.id, scope)
            assert (email, "service.deploy" in permissions) == (guest.email, may)


async def test_members_of_before_keep_what_they_had(house: House) -> None:
    for role in ("owner", "admin", "member", "viewer"):
        person = await add_person(house.app, role)
        async with browser_of(house.app, person.email) as browser:
            me = (await browser.get("/api/v1/me")).json()
            assert (me["role"], me["parts"]) == (role, [])
            assert {"project.read", "token.create"} <= set(me["permissions"])
            assert await names(browser, "projects") == {"Shop", "Blog"}
            assert ("grant.manage" in me["permissions"]) == (role in {"owner", "admin"})


async def test_the_page_of_a_project_gives_and_takes_roles(house: House) -> None:
    owner, guest = await add_person(house.app, "owner"), await add_user(house.app)
    path = f"/projects/{house.projects['Shop']}/access"
    async with browser_of(house.app, owner.email) as browser:
        assert f'href="{path}"' in (await browser.get(f"/projects/{house.projects['Shop']}")).text
        for form, status in (
            ({"email": guest.email, "role": "member"}, 303),
            ({"email": guest.email, "role": "viewer", "environment_id": house.staging}, 303),
            ({"email": guest.email, "role": "viewer"}, 422),
            ({"email": "missing@example.org", "role": "viewer"}, 422),
            ({"email": guest.email, "role": "owner"}, 422),
            ({"email": guest.email, "role": "viewer", "environment_id": UNKNOWN}, 422),
        ):
            answer = await browser.post(path, data=form)
            assert answer.status_code == status, answer.text
        page = (await browser.get(path)).text
        assert (guest.email in page, "Staging of Shop" in page, owner.email in page) == (True, True, True)
        assert guest.email not in (await browser.get(f"/projects/{house.projects['Blog']}/access")).text
        grants = (await house.client.get("/api/v1/grants")).json()["items"]
        beside = f"/projects/{house.projects['Blog']}/access/{grants[0]['id']}/remove"
        assert (await browser.post(beside)).status_code == 404
        for grant in grants:
            assert (await browser.post(f"{path}/{grant['id']}/remove")).status_code == 303
    assert await count(house.app) == 0


async def test_hostnames_of_others_are_not_taken_from_a_part(house: House) -> None:
    guest, member = await house.guest("admin", project_id=house.projects["Shop"]), await add_person(house.app, "member")
    path = f"/api/v1/services/{house.services['till']}/routes"
    taken = f"/api/v1/services/{house.services['press']}/routes"
    staged = f"/api/v1/services/{house.services['rehearsal']}/routes"
    for where, hostname in ((taken, "blog.example.org"), (taken, "*.wild.example.org"), (staged, "stage.example.org")):
        answer = await house.client.post(where, json={"hostname": hostname, "port": 80, "tls": "internal"})
        assert answer.status_code == 201, answer.text
    async with browser_of(house.app, guest.email) as browser:
        for hostname in ("blog.example.org", "a.wild.example.org", "stage.example.org"):
            answer = await browser.post(path, json={"hostname": hostname, "path_prefix": "/till", "port": 80})
            assert (answer.status_code, "already in use" in answer.text) == (409, True), hostname
        own = await browser.post(path, json={"hostname": "till.example.org", "port": 80})
        assert own.status_code == 201, own.text
        assert (
            await browser.post(path, json={"hostname": "till.example.org", "path_prefix": "/x", "port": 80})
        ).is_success
        route = f"/api/v1/routes/{own.json()['id']}"
        assert (await browser.patch(route, json={"hostname": "blog.example.org"})).status_code == 409
        async with browser_of(house.app, member.email) as other:
            shared = await other.post(path, json={"hostname": "blog.example.org", "path_prefix": "/till", "port": 80})
            assert shared.status_code == 201, shared.text
        shared_route = f"/api/v1/routes/{shared.json()['id']}"
        for change in ({"tls": "acme"}, {"path_prefix": "/"}, {"path_prefix": "/news"}):
            assert (await browser.patch(shared_route, json=change)).status_code == 409, change
        assert (await browser.patch(shared_route, json={"port": 81})).status_code == 200
        page = await browser.get(f"/routes/{shared.json()['id']}/edit")
        assert page.status_code == 200
        assert house.services["press"] not in page.text
    before = (await house.client.get(taken)).json()["items"]
    assert {each["tls"] for each in before} == {"internal"}


async def test_a_name_below_the_base_domain_does_not_say_which_project_has_it(house: House) -> None:
    guest = await house.guest("member", project_id=house.projects["Shop"])
    name = f"news.{house.app.state.settings.base.domain}"
    held = await house.client.post(
        f"/api/v1/services/{house.services['press']}/routes", json={"hostname": name, "port": 80}
    )
    assert held.status_code == 201, held.text
    await house.client.delete(f"/api/v1/routes/{held.json()['id']}")
    async with browser_of(house.app, guest.email) as browser:
        path = f"/api/v1/services/{house.services['till']}/routes"
        answer = await browser.post(path, json={"hostname": name, "port": 80})
        assert (answer.status_code, "another project" in answer.text, "blog" in answer.text) == (409, True, False)


async def test_credentials_of_the_team_open_nothing_to_a_part(house: House) -> None:
    shop = house.projects["Shop"]
    guest, member = await house.guest("admin", project_id=shop), await add_person(house.app, "member")
    token = {"name": "robot", "kind": "token", "host": "github.com", "token": "s3cret-token"}
    git = (await house.client.post("/api/v1/git-credentials", json=token)).json()["id"]
    login = {"name": "login", "host": "ghcr.io", "username": "ada", "password": "s3cret"}
    registry = (await house.client.post("/api/v1/registry-credentials", json=login)).json()["id"]
    of_git = {"type": "git", "repository": "https://github.com/acme/till", "credential_id": git}
    of_image = {"type": "image", "image": "ghcr.io/acme/till:1", "credential_id": registry}
    async with browser_of(house.app, guest.email) as browser, browser_of(house.app, member.email) as other:
        for number, (source, elsewhere, again) in enumerate((
            (of_git, {"repository": "https://github.com/acme/secret"}, {"branch": "next"}),
            (of_image, {"image": "ghcr.io/acme/secret:1"}, {"image": "ghcr.io/acme/till:2"}),
        )):  # fmt: skip
            body = {"name": f"private{number}", "source": source}
            refused = await browser.post(f"/api/v1/projects/{shop}/services", json=body)
            assert (refused.status_code, "credential.use" in refused.text) == (403, True)
            made = await other.post(f"/api/v1/projects/{shop}/services", json=body)
            assert made.status_code == 201, made.text
            path = f"/api/v1/services/{made.json()['id']}"
            assert (await browser.patch(path, json={"source": source | elsewhere})).status_code == 403
            assert (await browser.patch(path, json={"source": source | again})).status_code == 200
            settings = (await browser.get(f"/services/{made.json()['id']}/settings")).text
            assert ("robot" in settings, "login" in settings) == (source is of_git, source is of_image)
        detected = await browser.post(f"/api/v1/projects/{shop}/detect", json={"source": of_git})
        assert detected.status_code == 403, detected.text
        page = (await browser.get(f"/projects/{shop}/services/new")).text
        assert ("robot ·" in page, git in page) == (False, False)
        assert "robot ·" in (await other.get(f"/projects/{shop}/services/new")).text
