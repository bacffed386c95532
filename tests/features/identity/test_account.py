"""One's own name, and the way back in for who forgot the password."""

import httpx
import pytest
from fastapi import FastAPI
from tests.attacks.people import PASSWORD, add_person, add_token, browser_of, local_client, sign_in
from tests.conftest import API_TOKEN, OWNER, client_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
NEW = "another-good-passphrase"


async def reset(client: httpx.AsyncClient, **body: str) -> httpx.Response:
    return await client.post("/api/v1/users/reset-password", json={"password": NEW, **body})


async def events_of(client: httpx.AsyncClient, kind: str, person_id: str) -> list[dict[str, object]]:
    answer = await client.get("/api/v1/events", params={"type": kind, "object_id": person_id})
    return answer.json()["items"]


async def test_ones_name_is_shown_and_changed(app: FastAPI, client: httpx.AsyncClient) -> None:
    person = await add_person(app, "viewer")
    async with browser_of(app, person.email) as browser:
        assert 'value="Viewer"' in (await browser.get("/account")).text
        form = {"csrf_token": browser.headers["X-CSRF-Token"], "name": "  Ada <b>Lovelace</b> "}
        assert (await browser.post("/account/name", data=form)).status_code == 303
        page = (await browser.get("/account")).text
        assert 'value="Ada &lt;b&gt;Lovelace&lt;/b&gt;"' in page
        assert person.email in page
        refused = await browser.post("/account/name", data={**form, "name": "x" * 101})
        assert refused.status_code == 422
        assert "Nothing was saved" in refused.text
        assert (await browser.patch("/api/v1/me", json={"name": "Ada"})).json()["name"] == "Ada"
        assert (await browser.get("/api/v1/me")).json()["user"]["name"] == "Ada"
    assert len(await events_of(client, "UserUpdated", person.id)) == 2
    token = await add_token(app, person, "*")
    async with client_of(app, Authorization=f"Bearer {token}") as program:
        assert (await program.patch("/api/v1/me", json={"name": "Eve"})).status_code == 403


async def test_a_forgotten_password_is_replaced_on_the_machine_and_ends_what_the_old_one_opened(app: FastAPI) -> None:
    person = await add_person(app, "member")
    token = await add_token(app, person, "*")
    async with browser_of(app, person.email) as browser, local_client(app) as local, client_of(app) as fresh:
        for _ in range(5):
            await sign_in(fresh, person.email, "wrong wrong wrong")
        assert (await sign_in(fresh, person.email)).status_code == 429
        assert (await reset(local, email=person.email.upper())).json()["id"] == person.id
        assert (await browser.get("/api/v1/me")).status_code == 401
        async with client_of(app, Authorization=f"Bearer {token}") as program:
            assert (await program.get("/api/v1/me")).status_code == 401
        assert (await sign_in(fresh, person.email, PASSWORD)).status_code == 401
        assert (await sign_in(fresh, person.email, NEW)).status_code == 201
        (event,) = await events_of(local, "PasswordReset", person.id)
        assert (event["actor"], event["via"], event["payload"]) == ("local", "socket", {"of": person.email})


async def test_nobody_replaces_a_password_over_the_network(app: FastAPI) -> None:
    async with browser_of(app) as owner, client_of(app, Authorization=f"Bearer {API_TOKEN}") as instance:
        for client in (owner, instance):
            answer = await reset(client, email=OWNER["email"])
            assert answer.status_code == 403
            assert "orc account reset-password" in answer.json()["hint"]
    async with client_of(app) as fresh:
        assert (await reset(fresh)).status_code == 401
        assert (await sign_in(fresh)).status_code == 201


async def test_of_several_accounts_one_is_named_and_bad_passwords_change_nothing(app: FastAPI) -> None:
    person = await add_person(app, "member")
    async with local_client(app) as local, client_of(app) as fresh:
        several = await reset(local)
        assert several.status_code == 409
        assert person.email in several.json()["hint"]
        unknown = await reset(local, email="nobody@example.org")
        assert unknown.status_code == 404
        assert OWNER["email"] in unknown.json()["hint"]
        weak = await reset(local, email=person.email, password="short")
        assert (weak.status_code, set(weak.json()["fields"])) == (422, {"password"})
        assert (await sign_in(fresh, person.email)).status_code == 201
