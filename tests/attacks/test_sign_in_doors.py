"""What browsers are given over TLS at every door that gives them something, and what wrong passwords leave behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from tests.attacks.people import PASSWORD, client_from
from tests.conftest import API_TOKEN, OWNER, client_of, make_settings, running_app

pytestmark = pytest.mark.slow
SITE = "https://panel.example.org"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    async with running_app(make_settings(tmp_path / "data", base={"url": SITE})) as running:
        yield running


def judge(answer: httpx.Response) -> list[str]:
    """What is wrong with the cookies of an answer; their names come first."""
    names = []
    for header in answer.headers.get_list("set-cookie"):
        pair, *flags = header.split("; ")
        name = pair.partition("=")[0]
        names.append(name)
        assert name.startswith("__Host-"), header
        assert {"Secure", "Path=/"} <= set(flags), header
        assert {"SameSite=lax", "SameSite=strict"} & set(flags), header
        assert not any(flag.lower().startswith("domain") for flag in flags), header
        assert "HttpOnly" in flags or name == "__Host-orca_toast", header
    return names


async def test_every_cookie_is_bound_to_this_host_and_to_tls(app: FastAPI) -> None:
    token = (app.state.settings.data_dir / "claim-token").read_text().strip()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url=SITE, headers={"Origin": SITE}) as browser:
        session = ["__Host-orca_session"]
        assert judge(await browser.post("/claim", data={**OWNER, "token": token})) == session
        browser.cookies.clear()
        owner = {"email": OWNER["email"], "password": PASSWORD}
        assert judge(await browser.post("/login", data=owner)) == session
        signed_in = await browser.post("/api/v1/session", json=owner)
        assert judge(signed_in) == session
        browser.headers["X-CSRF-Token"] = signed_in.json()["csrf_token"]
        assert judge(await browser.post("/account/step-up", data={"password": PASSWORD, "next": "/"})) == session
        assert judge(await browser.post("/api/v1/me/step-up", json={"password": PASSWORD})) == session
        new = {"current_password": PASSWORD, "new_password": "another-good-passphrase"}
        assert sorted(judge(await browser.post("/account/password", data=new))) == [*session, "__Host-orca_toast"]
        assert judge(await browser.post("/projects", data={"name": "Shop"})) == ["__Host-orca_toast"]
        gone = await browser.post("/logout")
        assert judge(gone) == session
        assert "Max-Age=0" in gone.headers["set-cookie"]
        assert all("strict-transport-security" in each.headers for each in (signed_in, gone))


async def test_wrong_passwords_on_pages_are_in_the_trail_as_those_of_the_api_are(app: FastAPI) -> None:
    token = (app.state.settings.data_dir / "claim-token").read_text().strip()
    async with client_from(app, "198.51.100.1") as stranger, client_from(app, "198.51.100.2") as other:
        assert (await stranger.post("/claim", data={**OWNER, "token": "x" * 43})).status_code == 403
        assert (await stranger.post("/claim", data={**OWNER, "token": token})).status_code == 303
        for number in range(3):
            wrong = {"email": OWNER["email"], "password": f"wrong wrong {number}"}
            assert (await other.post("/login", data=wrong)).status_code == 401
    async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as client:
        events = (await client.get("/api/v1/events", params={"type": "AttemptDenied"})).json()["items"]
    assert [(each["ip"], each["payload"]["route"]) for each in events] == [
        ("198.51.100.2", "/login"), ("198.51.100.1", "/claim"),
    ]  # fmt: skip
    assert "wrong wrong" not in str(events)
