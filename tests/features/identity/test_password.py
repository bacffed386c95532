"""Changing one's password, and entering it again to see secrets."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from tests.attacks.people import PASSWORD, add_person, add_token, browser_of, sign_in
from tests.conftest import client_of

from orca.db import now
from orca.features.identity.models import BrowserSession

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
NEW = "another-good-passphrase"
TOKEN_FORM = {"name": "ci", "scopes": ["service.read"], "expires_in_days": 30}


async def change_password(browser: httpx.AsyncClient, current: str = PASSWORD, new: str = NEW) -> httpx.Response:
    return await browser.post("/api/v1/me/password", json={"current_password": current, "new_password": new})


async def forget_step_up(app: FastAPI) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(update(BrowserSession).values(stepped_up_at=now() - timedelta(minutes=11)))


async def test_a_new_password_ends_everything_the_old_one_opened(app: FastAPI) -> None:
    person = await add_person(app, "member")
    token = await add_token(app, person, "*")
    async with browser_of(app, person.email) as mine, browser_of(app, person.email) as second, client_of(app) as fresh:
        before = mine.cookies["orca_session"]
        async with client_of(app, Authorization=f"Bearer {token}") as program:
            assert (await program.get("/api/v1/me")).status_code == 200
            assert (await change_password(mine)).status_code == 200
            assert (await program.get("/api/v1/me")).status_code == 401
        assert (await mine.get("/api/v1/me")).status_code == 200
        assert mine.cookies["orca_session"] != before
        assert (await second.get("/api/v1/me")).status_code == 401
        async with client_of(app, Cookie=f"orca_session={before}") as thief:
            assert (await thief.get("/api/v1/me")).status_code == 401
        assert (await sign_in(fresh, person.email, PASSWORD)).status_code == 401
        assert (await sign_in(fresh, person.email, NEW)).status_code == 201


async def test_the_current_password_is_needed(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    person = await add_person(app, "member")
    async with browser_of(app, person.email) as browser:
        assert (await change_password(browser, current="wrong wrong wrong")).status_code == 403
        assert (await browser.get("/api/v1/me")).status_code == 200
    assert (await sign_in(anonymous, person.email)).status_code == 201


@pytest.mark.parametrize("new", ["short", "password1234", "member@example.org"])
async def test_a_weak_new_password_changes_nothing(app: FastAPI, anonymous: httpx.AsyncClient, new: str) -> None:
    person = await add_person(app, "member", email="member@example.org")
    async with browser_of(app, person.email) as browser:
        answer = await change_password(browser, new=new)
        assert answer.status_code == 422
        assert set(answer.json()["fields"]) == {"new_password"}
    assert (await sign_in(anonymous, person.email)).status_code == 201


async def test_guessing_the_current_password_is_limited(app: FastAPI) -> None:
    person = await add_person(app, "member")
    async with browser_of(app, person.email) as browser:
        statuses = [(await change_password(browser, current=f"wrong wrong {n}")).status_code for n in range(6)]
        assert statuses == [403] * 5 + [429]
        async with browser_of(app, person.email) as other:
            assert (await change_password(other)).status_code == 200, "another session has tries of its own"


async def test_a_token_cannot_look_after_the_account_it_belongs_to(app: FastAPI) -> None:
    person = await add_person(app, "owner")
    token = await add_token(app, person, "*")
    async with client_of(app, Authorization=f"Bearer {token}") as program:
        assert (await change_password(program)).status_code == 403
        assert (await program.post("/api/v1/me/step-up", json={"password": PASSWORD})).status_code == 403
        for method, path in (("GET", "/me/sessions"), ("DELETE", "/me/sessions"), ("DELETE", "/session")):
            assert (await program.request(method, f"/api/v1{path}")).status_code == 403


async def test_secrets_need_a_password_entered_within_ten_minutes(app: FastAPI) -> None:
    async with browser_of(app) as browser:
        assert (await browser.post("/api/v1/tokens", json=TOKEN_FORM)).status_code == 201
        await forget_step_up(app)
        refused = await browser.post("/api/v1/tokens", json=TOKEN_FORM)
        assert (refused.status_code, refused.json()["code"]) == (403, "step-up-required")
        wrong = await browser.post("/api/v1/me/step-up", json={"password": "wrong wrong wrong"})
        assert wrong.status_code == 403
        assert (await browser.post("/api/v1/tokens", json=TOKEN_FORM)).status_code == 403
        before = browser.cookies["orca_session"]
        assert (await browser.post("/api/v1/me/step-up", json={"password": PASSWORD})).status_code == 200
        assert (await browser.post("/api/v1/tokens", json=TOKEN_FORM)).status_code == 201
        async with client_of(app, Cookie=f"orca_session={before}") as thief:
            assert (await thief.get("/api/v1/me")).status_code == 401
