"""The one claim of an instance: only with the token printed on the console, and only once."""

import asyncio
import stat
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from tests.attacks.people import add_person, client_from, local_client, sign_in
from tests.conftest import API_TOKEN, OWNER, claim, client_of, make_settings, running_app

from orca.errors import BadInput, OrcaError
from orca.features.access.models import Membership, Team
from orca.features.identity.claim import ensure_claim
from orca.features.identity.models import User
from orca.settings import Settings

pytestmark = pytest.mark.slow

WRONG = "w" * 43


def token_of(settings: Settings) -> str:
    return (settings.data_dir / "claim-token").read_text().strip()


async def post_claim(client: httpx.AsyncClient, token: str, /, **changes: object) -> httpx.Response:
    return await client.post("/api/v1/claim", json={**OWNER, "token": token} | changes)


async def count(app: FastAPI, model: type) -> int:
    async with app.state.resources.db.read() as session:
        return await session.scalar(select(func.count()).select_from(model))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path / "data")


async def test_before_the_claim_nothing_but_the_claim_and_health_answers(settings: Settings) -> None:
    async with running_app(settings) as app:
        for credentials in ({}, {"Authorization": f"Bearer {API_TOKEN}"}, {"Cookie": "orca_session=x"}):
            async with client_of(app, **credentials) as client:
                for path in ("/api/v1/me", "/api/v1/tokens", "/api/v1/events", "/api/metrics"):
                    answer = await client.get(path)
                    assert (answer.status_code, answer.json()["code"]) == (503, "not-claimed"), path
                login = await client.post("/api/v1/session", json={"email": "a@b", "password": "x"})
                assert login.status_code == 503
                assert (await client.get("/api/health")).status_code == 200


async def test_the_local_socket_works_before_the_claim_and_its_team_is_the_owners(settings: Settings) -> None:
    async with running_app(settings) as app:
        async with local_client(app) as local:
            me = (await local.get("/api/v1/me")).json()
            assert (me["actor"], me["via"], me["role"]) == ("local", "socket", "owner")
            assert (await local.get("/api/v1/me")).json()["team_id"] == me["team_id"]
        await claim(app)
        async with client_of(app) as client:
            await sign_in(client)
            assert (await client.get("/api/v1/me")).json()["team_id"] == me["team_id"]
        assert await count(app, Team) == 1


async def test_the_token_is_long_private_and_not_in_what_servers_log(settings: Settings) -> None:
    async with running_app(settings) as app:
        path = settings.data_dir / "claim-token"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(token_of(settings)) == 43
        link = await ensure_claim(app.state.resources)
        assert link == f"{settings.panel_url}/claim#token={token_of(settings)}"
        stored = b"".join(file.read_bytes() for file in settings.data_dir.glob("orc.db*"))
        assert token_of(settings).encode() not in stored


async def test_the_claimant_is_signed_in_and_owns_the_first_team(settings: Settings) -> None:
    async with running_app(settings) as app, client_of(app) as client:
        answer = await post_claim(client, token_of(settings), email="Ada@Example.org", name=" Ada ")
        assert answer.status_code == 201
        assert answer.json()["user"]["email"] == "ada@example.org"
        assert answer.json()["user"]["name"] == "Ada"
        me = (await client.get("/api/v1/me")).json()
        assert me["role"] == "owner"
        assert "instance.admin" in me["permissions"]
        types = {event["type"] for event in (await client.get("/api/v1/events")).json()["items"]}
        assert {"InstanceClaimed", "TeamCreated", "MemberAdded", "SignedIn"} <= types


async def test_a_second_claim_is_gone_even_with_the_token_and_after_a_restart(settings: Settings) -> None:
    async with running_app(settings) as app, client_of(app) as client:
        token = token_of(settings)
        assert (await post_claim(client, token)).status_code == 201
        assert not (settings.data_dir / "claim-token").exists()
        assert (await post_claim(client, token, email="b@example.org")).status_code == 410
    (settings.data_dir / "claim-token").write_text(token)
    async with running_app(settings) as app, client_of(app) as client:
        assert await ensure_claim(app.state.resources) is None
        assert not (settings.data_dir / "claim-token").exists()
        assert (await post_claim(client, token, email="b@example.org")).status_code == 410
        assert await count(app, User) == 1


async def test_the_claim_page_of_an_instance_with_an_owner_asks_for_a_sign_in(settings: Settings) -> None:
    async with running_app(settings) as app, client_of(app) as client, client_of(app) as stranger:
        page = await stranger.get("/claim")
        assert page.status_code == 200
        assert "It has no owner yet" in page.text
        form = {**OWNER, "token": token_of(settings)}
        assert (await post_claim(client, form["token"])).status_code == 201
        answer = await stranger.get("/claim")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        again = await stranger.post("/claim", data=form, headers={"Accept": "text/html"})
        assert again.status_code == 410
        assert "has an owner already" in again.text
        assert "no owner yet" not in again.text


async def test_ten_wrong_tokens_lock_the_claim_until_the_console_restarts_it(settings: Settings) -> None:
    async with running_app(settings) as app:
        token = token_of(settings)
        for number in range(10):
            async with client_from(app, f"198.51.100.{number}") as client:
                answer = await post_claim(client, WRONG)
                assert answer.status_code == 403
        async with client_of(app) as client:
            answer = await post_claim(client, token)
            assert answer.status_code == 403
            assert "Restart" in answer.json()["hint"]
            assert await count(app, User) == 0
    async with running_app(settings) as app, client_of(app) as client:
        assert token_of(settings) == token
        assert (await post_claim(client, token)).status_code == 201


async def test_wrong_tokens_are_in_the_trail(settings: Settings) -> None:
    async with running_app(settings) as app, client_of(app) as client, local_client(app) as local:
        await post_claim(client, WRONG)
        events = (await local.get("/api/v1/events", params={"type": "AttemptDenied"})).json()["items"]
        assert [(event["ip"], event["payload"]["route"]) for event in events] == [("127.0.0.1", "/api/v1/claim")]
        assert WRONG not in str(events)


BAD: list[dict[str, object]] = [
    {"password": "short"}, {"password": "password1234"}, {"password": OWNER["email"]}, {"email": "no"},
    {"name": "x\x1b[31m"}, {"name": "x" * 101}, {"is_instance_admin": False}, {"token": ""}, {"password": None},
]  # fmt: skip


async def test_bad_input_claims_nothing_and_names_its_field(settings: Settings) -> None:
    async with running_app(settings) as app, client_of(app) as client:
        for changes in BAD:
            answer = await post_claim(client, token_of(settings), **changes)
            assert answer.status_code == 422, changes
            assert set(answer.json()["fields"]) == set(changes)
        assert await count(app, User) == 0
        assert (await post_claim(client, token_of(settings))).status_code == 201


async def test_of_two_claims_at_once_one_wins(tmp_path: Path, database_url: str | None) -> None:
    settings = make_settings(tmp_path / "data", **({"database_url": database_url} if database_url else {}))
    async with running_app(settings) as app, client_of(app) as one, client_of(app) as other:
        token = token_of(settings)
        answers = await asyncio.gather(
            post_claim(one, token), post_claim(other, token, email="other@example.org"), post_claim(one, token)
        )
        assert sorted(answer.status_code for answer in answers) == [201, 410, 410]
        assert await count(app, User) == await count(app, Membership) == await count(app, Team) == 1


def admin(tmp_path: Path, email: str, password: str | None) -> dict[str, object]:
    file = tmp_path / "password"
    if password is not None:
        file.write_text(password)
    return {"admin": {"email": email, "password_file": file}}


async def test_an_unattended_install_is_claimed_at_its_first_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", **admin(tmp_path, "Ops@Example.org", "a-good-long-passphrase\n"))
    async with running_app(settings) as app, client_of(app) as client:
        assert (await sign_in(client, "ops@example.org", "a-good-long-passphrase")).status_code == 201
        assert (await client.get("/api/v1/me")).json()["role"] == "owner"
        assert not (settings.data_dir / "claim-token").exists()
        assert (await post_claim(client, WRONG)).status_code == 410
    changed = make_settings(tmp_path / "data", **admin(tmp_path, "evil@example.org", "another-long-passphrase"))
    async with running_app(changed) as app:
        assert await count(app, User) == 1


@pytest.mark.parametrize(
    ("email", "password"), [("ops@example.org", "admin"), ("ops", "a-good-long-passphrase"), ("ops@example.org", None)]
)
async def test_a_bad_unattended_claim_stops_the_start(tmp_path: Path, email: str, password: str | None) -> None:
    settings = make_settings(tmp_path / "data", **admin(tmp_path, email, password))
    with pytest.raises(OrcaError) as stopped:
        async with running_app(settings):
            raise AssertionError("it started")
    assert password is None or f"“{password}”" not in stopped.value.message


async def test_an_admin_without_password_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ORC_ADMIN_PASSWORD_FILE"):
        async with running_app(make_settings(tmp_path / "data", admin={"email": "ops@example.org"})):
            raise AssertionError("it started")


async def test_with_asking_switched_off_nobody_needs_to_claim(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", auth={"enabled": False})
    async with running_app(settings) as app, client_of(app) as client:
        assert not (settings.data_dir / "claim-token").exists()
        assert (await client.get("/api/v1/me")).json()["role"] == "owner"
        forged = {"Origin": "https://evil.example"}
        body = {"name": "x", "scopes": ["*"], "expires_in_days": 1}
        assert (await client.post("/api/v1/tokens", json=body, headers=forged)).status_code == 403
        assert (await client.post("/api/v1/tokens", json=body)).status_code == 201


async def test_a_damaged_token_file_is_replaced(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True)
    (settings.data_dir / "claim-token").write_text("short\n")
    async with running_app(settings) as app, client_of(app) as client:
        assert len(token_of(settings)) == 43
        assert (await post_claim(client, token_of(settings))).status_code == 201
        assert await add_person(app, "member")
