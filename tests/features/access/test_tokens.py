"""API tokens: shown once, limited to their user's role of the moment, ended by expiry, revocation and removal."""

from datetime import datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, update
from tests.attacks.people import add_person, add_team, add_token, browser_of, client_from, local_client, same_answer
from tests.conftest import API_TOKEN, client_of

from orca.db import now
from orca.features.access.models import ApiToken, Membership
from orca.features.access.permissions import all_permissions, all_roles
from orca.features.identity.models import User

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
FORM = {"name": "ci", "scopes": ["service.read", "token.read"], "expires_in_days": 30}
UNKNOWN = "01890000-0000-7000-8000-000000000000"


def bearer(app: FastAPI, token: str):
    return client_of(app, Authorization=f"Bearer {token}")


async def write(app: FastAPI, statement: object) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(statement)


async def test_a_token_is_shown_once_and_stored_hashed(app: FastAPI) -> None:
    async with browser_of(app) as browser:
        made = (await browser.post("/api/v1/tokens", json=FORM)).json()
        secret = made["token"][42:85]
        listed = await browser.get("/api/v1/tokens")
        assert secret not in listed.text
        assert [(item["id"], item["user_email"]) for item in listed.json()["items"]] == [
            (made["id"], "owner@example.org")
        ]
        events = await browser.get("/api/v1/events", params={"type": "TokenCreated"})
        assert events.json()["items"][0]["object_id"] == made["id"]
        assert secret not in events.text
    stored = b"".join(file.read_bytes() for file in app.state.settings.data_dir.glob("orc.db*"))
    assert made["id"].encode() in stored
    assert secret.encode() not in stored
    async with bearer(app, made["token"]) as program:
        me = (await program.get("/api/v1/me")).json()
        assert (me["actor"], me["via"]) == ("owner@example.org", "token")
        assert me["permissions"] == ["service.read", "token.read"]


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_in_days": 0}, {"expires_in_days": 366}, {"expires_in_days": None}, {"scopes": []}, {"name": ""},
        {"scopes": ["everything.ever"]}, {"scopes": "*"}, {"name": "a\nb"}, {"user_id": UNKNOWN}, {"team_id": UNKNOWN},
    ],
)  # fmt: skip
async def test_bad_input_makes_no_token(client: httpx.AsyncClient, changes: dict[str, object]) -> None:
    answer = await client.post("/api/v1/tokens", json=FORM | changes)
    assert answer.status_code == 422
    assert (await client.get("/api/v1/tokens")).json()["items"] == []


async def test_a_token_must_expire(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/tokens", json={"name": "ci", "scopes": ["*"]})
    assert set(answer.json()["fields"]) == {"expires_in_days"}
    made = (await client.post("/api/v1/tokens", json=FORM | {"expires_in_days": 365})).json()
    assert datetime.fromisoformat(made["expires_at"]) - now() <= timedelta(days=365)


async def test_nobody_makes_a_token_that_may_more_than_they_do(app: FastAPI) -> None:
    viewer = await add_person(app, "viewer")
    async with browser_of(app, viewer.email) as browser:
        refused = await browser.post("/api/v1/tokens", json=FORM | {"scopes": ["service.read", "service.deploy"]})
        assert refused.status_code == 403
        assert "service.deploy" in refused.json()["detail"]
        whole = (await browser.post("/api/v1/tokens", json=FORM | {"scopes": ["*"]})).json()
    async with bearer(app, whole["token"]) as program:
        assert set((await program.get("/api/v1/me")).json()["permissions"]) == all_roles()["viewer"]


async def test_a_token_with_former_names_of_permissions_may_what_it_could(app: FastAPI) -> None:
    """One name of credentials and push hooks became two; a token in the database keeps what was written then."""
    owner = await add_person(app, "owner")
    async with bearer(app, await add_token(app, owner, "source.read", "service.read")) as program:
        assert (await program.get("/api/v1/me")).json()["permissions"] == [
            "credential.read",
            "hook.read",
            "service.read",
        ]
        assert (await program.get("/api/v1/git-credentials")).status_code == 200
        refused = await program.post("/api/v1/git-credentials", json={"name": "x", "kind": "ssh", "host": "github.com"})
        assert refused.status_code == 403
    async with browser_of(app, owner.email) as browser:
        made = await browser.post("/api/v1/tokens", json=FORM | {"scopes": ["source.create", "hook.create"]})
        assert made.json()["scopes"] == ["credential.create", "hook.create"]
    viewer = await add_person(app, "viewer")
    async with browser_of(app, viewer.email) as browser:
        refused = await browser.post("/api/v1/tokens", json=FORM | {"scopes": ["source.create"]})
        assert (refused.status_code, "credential.create, hook.create" in refused.json()["detail"]) == (403, True)


@pytest.mark.parametrize("role", ["owner", "viewer"])
async def test_the_page_makes_a_token_that_reads_everything_for_every_role(app: FastAPI, role: str) -> None:
    async with browser_of(app, (await add_person(app, role)).email) as browser:
        answer = await browser.post("/tokens", data={"name": "reader", "preset": "read"})
    assert answer.status_code == 200
    assert "orca_pat_" in answer.text


async def test_a_token_makes_no_further_tokens(app: FastAPI) -> None:
    token = await add_token(app, await add_person(app, "owner"), "*")
    async with bearer(app, token) as program:
        assert (await program.post("/api/v1/tokens", json=FORM)).status_code == 403


async def test_who_lacks_a_permission_hears_how_to_get_it(app: FastAPI) -> None:
    project = {"name": "Shop"}
    token = await add_token(app, await add_person(app, "owner"), "project.read")
    async with bearer(app, token) as program:
        refused = (await program.post("/api/v1/projects", json=project)).json()
    assert "orc tokens create NAME --scope project.create" in refused["hint"]
    token = await add_token(app, await add_person(app, "viewer"), "*")
    async with bearer(app, token) as program:
        refused = (await program.post("/api/v1/projects", json=project)).json()
    assert refused["hint"] == "Ask an owner of your team for a role that has it."


@pytest.mark.parametrize("event", ["expires", "is revoked", "user disabled", "user removed", "user left the team"])
async def test_a_token_ends_at_once_when_it(app: FastAPI, event: str) -> None:
    person = await add_person(app, "member")
    async with bearer(app, await add_token(app, person, "*")) as program:
        assert (await program.get("/api/v1/me")).status_code == 200
        mine = ApiToken.user_id == person.id
        await write(
            app,
            {
                "expires": update(ApiToken).where(mine).values(expires_at=now()),
                "is revoked": update(ApiToken).where(mine).values(revoked_at=now()),
                "user disabled": update(User).where(User.id == person.id).values(disabled_at=now()),
                "user removed": delete(User).where(User.id == person.id),
                "user left the team": delete(Membership).where(Membership.user_id == person.id),
            }[event],
        )
        assert (await program.get("/api/v1/me")).status_code == 401


async def test_a_smaller_role_makes_smaller_tokens_at_once(app: FastAPI) -> None:
    person = await add_person(app, "admin")
    async with bearer(app, await add_token(app, person, "*")) as program:
        assert "token.manage" in (await program.get("/api/v1/me")).json()["permissions"]
        await write(app, update(Membership).where(Membership.user_id == person.id).values(role="viewer"))
        assert set((await program.get("/api/v1/me")).json()["permissions"]) == all_roles()["viewer"]


async def test_people_see_their_own_tokens_and_managers_all_of_the_team(app: FastAPI) -> None:
    member, admin = await add_person(app, "member"), await add_person(app, "admin")
    foreign = await add_person(app, "owner", team_id=await add_team(app, "rivals"))
    for person in (member, admin, foreign):
        await add_token(app, person, "*")

    async def seen_by(email: str) -> set[str]:
        async with browser_of(app, email) as browser:
            return {item["user_email"] for item in (await browser.get("/api/v1/tokens")).json()["items"]}

    assert await seen_by(member.email) == {member.email}
    assert await seen_by(admin.email) == {member.email, admin.email}
    assert await seen_by(foreign.email) == {foreign.email}


async def test_only_ones_own_token_can_be_revoked_and_others_look_unknown(app: FastAPI) -> None:
    member, colleague = await add_person(app, "member"), await add_person(app, "member")
    foreign = await add_person(app, "owner", team_id=await add_team(app, "rivals"))
    ids = {}
    for person in (member, colleague, foreign):
        await add_token(app, person, "*")
        async with browser_of(app, person.email) as browser:
            ids[person.email] = (await browser.get("/api/v1/tokens")).json()["items"][0]["id"]
    async with browser_of(app, member.email) as browser:
        unknown = await browser.delete(f"/api/v1/tokens/{UNKNOWN}")
        assert unknown.status_code == 404
        assert same_answer(await browser.delete(f"/api/v1/tokens/{ids[colleague.email]}"), unknown)
        assert same_answer(await browser.delete(f"/api/v1/tokens/{ids[foreign.email]}"), unknown)
        assert (await browser.delete(f"/api/v1/tokens/{ids[member.email]}")).status_code == 204
        assert same_answer(await browser.delete(f"/api/v1/tokens/{ids[member.email]}"), unknown)
    async with browser_of(app) as owner:
        assert (await owner.delete(f"/api/v1/tokens/{ids[colleague.email]}")).status_code == 204


async def test_tokens_are_listed_page_by_page(app: FastAPI, client: httpx.AsyncClient) -> None:
    owner = await add_person(app, "owner")
    for _ in range(5):
        await add_token(app, owner, "*")
    first = (await client.get("/api/v1/tokens", params={"limit": 3})).json()
    second = (await client.get("/api/v1/tokens", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert (len(first["items"]), len(second["items"]), second["next_cursor"]) == (3, 2, None)
    assert len({item["id"] for page in (first, second) for item in page["items"]}) == 5


async def test_the_machine_itself_makes_tokens_that_belong_to_nobody(app: FastAPI) -> None:
    async with local_client(app) as local:
        made = (await local.post("/api/v1/tokens", json=FORM | {"name": "deployer"})).json()
    async with bearer(app, made["token"]) as program:
        me = (await program.get("/api/v1/me")).json()
        assert (me["actor"], me["user"], me["permissions"]) == ("token deployer", None, ["service.read", "token.read"])
        assert (await program.get("/api/v1/tokens")).json()["items"] == []


@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", "Basic b3duZXI6eA==", "Bearer x", "bearer " + "x" * 5000, "Digest x",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJvd25lciJ9.", f"Token {API_TOKEN}", f"Bearer {API_TOKEN[:-1]}",
        f"Bearer {API_TOKEN} ", f"Bearer  {API_TOKEN}", f"Bearer {API_TOKEN}\tx",
    ],
)  # fmt: skip
async def test_a_bad_credential_is_never_passed_over_for_another(app: FastAPI, header: str) -> None:
    async with browser_of(app) as browser:
        assert (await browser.get("/api/v1/me")).status_code == 200
        assert (await browser.get("/api/v1/me", headers={"Authorization": header})).status_code == 401


async def test_two_credentials_in_one_request_are_refused(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    twice = [("Authorization", f"Bearer {API_TOKEN}"), ("Authorization", "Bearer x")]
    assert (await anonymous.get("/api/v1/me", headers=twice)).status_code == 401
    assert (await anonymous.get("/api/v1/me", headers=twice[:1])).status_code == 200
    assert app


async def test_credentials_in_the_address_are_ignored(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    token = await add_token(app, await add_person(app, "owner"), "*")
    for name in ("token", "access_token", "api_key", "authorization"):
        assert (await anonymous.get("/api/v1/me", params={name: token})).status_code == 401


async def test_guessing_tokens_is_slowed_down_per_address(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    statuses = [
        (await anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {n}"})).status_code for n in range(130)
    ]
    assert statuses[:120] == [401] * 120
    assert statuses[-1] == 429
    async with client_from(app, "198.51.100.7") as elsewhere:
        assert (await elsewhere.get("/api/v1/me")).status_code == 401


async def test_every_permission_is_listed_with_its_roles(client: httpx.AsyncClient) -> None:
    listed = {item["name"]: item for item in (await client.get("/api/v1/permissions")).json()}
    assert listed.keys() == all_permissions().keys()
    assert listed["service.read"]["roles"] == ["owner", "admin", "member", "viewer"]
    viewer = (await client.get("/api/v1/permissions", params={"role": "viewer"})).json()
    assert {item["name"] for item in viewer} == all_roles()["viewer"]
