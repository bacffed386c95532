"""A person in several teams: the session works in one of them, switches, and loses it when the membership ends."""

import re

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, select
from tests.attacks.checks import essence
from tests.attacks.people import Person, add_person, add_team, add_token, browser_of
from tests.conftest import client_of

from orca.features.access.models import Membership
from orca.features.identity.models import BrowserSession

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def join(app: FastAPI, person: Person, team_id: str, role: str) -> None:
    async with app.state.resources.db.write() as session:
        session.add(Membership(team_id=team_id, user_id=person.id, role=role))


async def leave(app: FastAPI, person: Person, team_id: str) -> None:
    async with app.state.resources.db.write() as session:
        mine = (Membership.user_id == person.id) & (Membership.team_id == team_id)
        await session.execute(delete(Membership).where(mine))


async def place_of(browser: httpx.AsyncClient) -> tuple[str, str]:
    me = (await browser.get("/api/v1/me")).json()
    return me["team_id"], me["role"]


async def enter(browser: httpx.AsyncClient, team_id: str) -> httpx.Response:
    return await browser.post(f"/teams/{team_id}/enter")


async def test_a_session_begins_in_the_team_joined_first_and_switches(app: FastAPI) -> None:
    person = await add_person(app, "viewer")
    crew = await add_team(app, "crew")
    await join(app, person, crew, "owner")
    async with browser_of(app, person.email) as browser, browser_of(app, person.email) as other:
        assert await place_of(browser) == (person.team_id, "viewer")
        assert (await browser.post("/api/v1/projects", json={"name": "Mine"})).status_code == 403
        answer = await enter(browser, crew)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert await place_of(browser) == (crew, "owner")
        made = await browser.post("/api/v1/projects", json={"name": "Mine"})
        assert made.status_code == 201
        assert await place_of(other) == (person.team_id, "viewer")
        assert (await other.get(f"/api/v1/projects/{made.json()['id']}")).status_code == 404
        await enter(browser, person.team_id)
        assert (await browser.get(f"/api/v1/projects/{made.json()['id']}")).status_code == 404


async def test_the_menu_offers_the_other_teams(app: FastAPI) -> None:
    person = await add_person(app, "viewer")
    async with browser_of(app, person.email) as browser:
        assert "/enter" not in (await browser.get("/")).text
        crew = await add_team(app, "crew")
        await join(app, person, crew, "member")
        assert re.findall(r'action="(/teams/[^"]+)"', (await browser.get("/")).text) == [f"/teams/{crew}/enter"]
        await enter(browser, crew)
        offered = re.findall(r'action="(/teams/[^"]+)"', (await browser.get("/")).text)
        assert offered == [f"/teams/{person.team_id}/enter"]


async def test_a_membership_that_ends_takes_the_session_along_at_once(app: FastAPI) -> None:
    person = await add_person(app, "viewer")
    crew = await add_team(app, "crew")
    await join(app, person, crew, "owner")
    async with browser_of(app, person.email) as browser:
        await enter(browser, crew)
        await leave(app, person, crew)
        assert await place_of(browser) == (person.team_id, "viewer")
        await leave(app, person, person.team_id)
        assert await place_of(browser) == ("", "")
        assert (await browser.get("/api/v1/projects")).status_code == 403
        assert (await browser.get("/")).status_code == 200


async def test_a_team_of_others_is_entered_by_no_one_else(app: FastAPI) -> None:
    person = await add_person(app, "owner")
    crew = await add_team(app, "crew")
    token = await add_token(app, person, "*")
    async with browser_of(app, person.email) as browser, client_of(app, Authorization=f"Bearer {token}") as program:
        foreign = await enter(browser, crew)
        assert foreign.status_code == 404
        assert essence(foreign, crew) == essence(await enter(browser, UNKNOWN), UNKNOWN)
        assert (await enter(program, person.team_id)).status_code == 403
        assert await place_of(browser) == (person.team_id, "owner")
    async with app.state.resources.db.read() as session:
        chosen = select(BrowserSession.team_id).where(BrowserSession.user_id == person.id)
        assert (await session.scalars(chosen)).all() == [None]


async def test_a_switch_is_in_the_trail_of_the_team_that_is_entered(app: FastAPI) -> None:
    person = await add_person(app, "owner")
    crew = await add_team(app, "crew")
    await join(app, person, crew, "owner")
    async with browser_of(app, person.email) as browser:
        await enter(browser, crew)
        events = (await browser.get("/api/v1/events", params={"type": "SessionTeamChanged"})).json()["items"]
        assert [(event["actor"], event["object_id"]) for event in events] == [(person.email, person.id)]


async def test_a_repeated_key_answers_nothing_of_the_team_that_was_left(app: FastAPI) -> None:
    person = await add_person(app, "owner")
    crew = await add_team(app, "crew")
    await join(app, person, crew, "owner")
    asked = {"json": {"name": "Once"}, "headers": {"Idempotency-Key": "once"}}
    async with browser_of(app, person.email) as browser:
        here = await browser.post("/api/v1/projects", **asked)
        await enter(browser, crew)
        there = await browser.post("/api/v1/projects", **asked)
        assert (here.status_code, there.status_code) == (201, 201)
        assert here.json()["id"] != there.json()["id"]


async def test_tokens_keep_their_team(app: FastAPI) -> None:
    person = await add_person(app, "owner")
    crew = await add_team(app, "crew")
    await join(app, person, crew, "viewer")
    token = await add_token(app, person, "*")
    async with browser_of(app, person.email) as browser, client_of(app, Authorization=f"Bearer {token}") as program:
        await enter(browser, crew)
        assert await place_of(program) == (person.team_id, "owner")
        await leave(app, person, person.team_id)
        assert (await program.get("/api/v1/me")).status_code == 401
