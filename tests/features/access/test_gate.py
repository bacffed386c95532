"""The gate, at routes made for it: forgery, media types, pace, rights, owners, and streams that end with their right."""

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Form, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.attacks.people import (
    add_person,
    add_team,
    add_token,
    browser_of,
    client_from,
    default_team,
    local_client,
    same_answer,
    sign_in,
)
from tests.conftest import API_TOKEN, client_of

from orca.db import ReadSession, WriteSession, now
from orca.events import Event
from orca.features.access import gate as gate_module
from orca.features.access.gate import AccessGate
from orca.features.access.models import Membership, Team
from orca.features.access.rate_limit import Rate, RateLimits, RepeatCounter
from orca.features.identity.models import Attempt, BrowserSession, User
from orca.features.identity.rules import Limit
from orca.features.triggers.models import Push
from orca.kit.ids import new_id
from orca.web.guard import PUBLIC, SIGNED_IN, Router, guard
from orca.web.rights import ObjectScope

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
probes = Router(prefix="/probe")
owners: dict[str, str] = {}


class Body(BaseModel):
    text: str = ""


async def find_probe_scope(_session: AsyncSession, probe_id: str) -> ObjectScope | None:
    return ObjectScope(owners[probe_id]) if probe_id in owners else None


@probes.post("/json")
@guard("service.update", rate="write")
async def read_json(body: Body) -> str:
    return body.text


@probes.post("/form")
@guard("service.update", rate="write")
async def read_form(text: Annotated[str, Form()]) -> str:
    return text


@probes.post("/file")
@guard("service.update", rate="write")
async def read_file(file: UploadFile) -> int:
    return len(await file.read())


@probes.post("/raw", openapi_extra={"requestBody": {"content": {"application/x-tar": {}}}})
@guard("service.update", rate="write")
async def read_raw(request: Request) -> int:
    return len(await request.body())


@probes.post("/page")
@guard("service.update", rate="write", page=True)
async def read_page(request: Request) -> str:
    return str((await request.form()).get("text"))


@probes.post("/empty")
@guard("service.update", rate="write")
async def read_nothing() -> str:
    return "done"


@probes.get("/page")
@guard(SIGNED_IN, page=True)
async def show_page() -> str:
    return "page"


@probes.get("/things/{probe_id}")
@guard("service.read", tenant="probe_id")
async def show_thing(probe_id: str) -> str:
    return probe_id


@probes.get("/hidden")
@guard("variable.reveal", rate="reveal")
async def show_secret() -> str:
    return "secret"


@probes.get("/stream")
@guard("service.read", rate="stream")
async def stream() -> StreamingResponse:
    async def ticks() -> AsyncIterator[str]:
        for number in range(1000):
            yield f"{number}\n"
            await asyncio.sleep(0.02)

    return StreamingResponse(ticks())


@probes.post("/quiet")
@guard("service.run", rate="write")
async def quiet() -> StreamingResponse:
    async def silence() -> AsyncIterator[str]:
        yield "begun\n"
        await asyncio.sleep(600)

    return StreamingResponse(silence())


@probes.get("/slow")
@guard("service.read", seconds=0.3)
async def slow() -> None:
    await asyncio.sleep(20)


@probes.post("/crash")
@guard(SIGNED_IN, rate="write")
async def crash(body: Body) -> None:
    raise RuntimeError(f"no {body.text}")


@probes.get("/teams")
@guard("service.read")
async def count_teams(reading: ReadSession, writing: WriteSession) -> list[int]:
    """How many teams the sessions of a door see."""
    return [len((await session.scalars(select(Team))).all()) for session in (reading, writing)]


@probes.get("/teams/open")
@guard(PUBLIC)
async def count_teams_openly(reading: ReadSession, writing: WriteSession) -> list[int]:
    return [len((await session.scalars(select(Team))).all()) for session in (reading, writing)]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def with_probes(module_app: FastAPI) -> None:
    module_app.include_router(probes)
    module_app.state.owners = {**module_app.state.owners, "probe_id": find_probe_scope}


async def write(app: FastAPI, statement: object) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(statement)


# ── forged requests ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "headers",
    [
        {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "anything"}, {"Origin": "null"},
        {"Origin": "https://evil.example"}, {"Origin": "http://localhost:9999"}, {"Origin": "http://app.localhost"},
        {"Origin": "http://localhost.evil.example"}, {"Origin": ""}, {"Origin": "https://localhost"},
    ],
)  # fmt: skip
async def test_a_forged_request_is_refused_although_the_cookie_is_right(app: FastAPI, headers: dict[str, str]) -> None:
    async with browser_of(app) as browser:
        assert (await browser.post("/probe/json", json={}, headers=headers)).status_code == 403
        assert (await browser.post("/probe/json", json={})).status_code == 200


async def test_the_panels_own_pages_may_write(app: FastAPI) -> None:
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
    public = {"Sec-Fetch-Site": "same-origin", "Origin": app.state.settings.panel_url}
    async with browser_of(app) as browser:
        assert (await browser.post("/probe/json", json={}, headers=own)).status_code == 200
        assert (await browser.post("/probe/json", json={}, headers=public)).status_code == 200


async def test_a_token_of_another_session_is_a_forgery(app: FastAPI) -> None:
    async with browser_of(app) as one, browser_of(app) as other:
        headers = {"X-CSRF-Token": other.headers["X-CSRF-Token"]}
        assert (await one.post("/probe/json", json={}, headers=headers)).status_code == 403


async def test_forms_carry_the_token_in_a_field_and_their_values_still_arrive(app: FastAPI) -> None:
    async with browser_of(app) as browser:
        token = browser.headers.pop("X-CSRF-Token")
        assert (await browser.post("/probe/form", data={"text": "a"})).status_code == 403
        assert (await browser.post("/probe/form", data={"text": "a", "csrf_token": "wrong"})).status_code == 403
        assert (await browser.post("/probe/form", data={"text": "a", "csrf_token": token})).json() == "a"
        assert (await browser.post("/probe/page", data={"text": "a", "csrf_token": token})).json() == "a"
        files = {"file": ("a.txt", b"x" * 1_000_000)}
        assert (await browser.post("/probe/file", files=files, data={"csrf_token": token})).json() == 1_000_000
        assert (await browser.post("/probe/file", files=files)).status_code == 403


async def test_a_sign_in_from_another_site_is_refused(anonymous: httpx.AsyncClient) -> None:
    anonymous.headers["Sec-Fetch-Site"] = "cross-site"
    assert (await sign_in(anonymous)).status_code == 403


async def test_programs_need_no_token_against_forgery(app: FastAPI) -> None:
    token = await add_token(app, await add_person(app, "member"), "*")
    async with client_of(app, Authorization=f"Bearer {token}") as program:
        assert (await program.post("/probe/json", json={})).status_code == 200
        assert (await program.post("/probe/json", json={}, headers={"Origin": "https://a.b"})).status_code == 403


# ── what a route reads ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "media_type", "status"),
    [
        ("json", "application/json", 200), ("json", "application/json; charset=utf-8", 200),
        ("json", "application/vnd.orca+json", 200), ("json", "text/plain", 415), ("json", "", 415),
        ("json", "application/x-www-form-urlencoded", 415), ("json", "multipart/form-data; boundary=x", 415),
        ("json", "text/plain;application/json", 415), ("json", "application/jsonx", 415),
        ("form", "application/json", 415), ("file", "application/json", 415), ("file", "text/plain", 415),
        ("raw", "application/x-tar", 200), ("raw", "application/json", 415), ("raw", "text/plain", 415),
        ("page", "application/json", 415), ("empty", "text/plain", 415), ("empty", "application/json", 200),
    ],
)  # fmt: skip
async def test_a_body_of_another_type_is_not_read(
    app: FastAPI, local: httpx.AsyncClient, path: str, media_type: str, status: int
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await local.post(f"/probe/{path}", content=b"{}", headers=headers)
    assert answer.status_code == status, app


async def test_a_body_larger_than_a_mebibyte_is_not_read(local: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100_000):
            yield b"x" * 65_536

    types = {"json": "application/json", "raw": "application/x-tar", "page": "application/x-www-form-urlencoded"}
    for path, media_type in types.items():
        for content in (b"x" * ((1 << 20) + 1), endless()):
            answer = await local.post(f"/probe/{path}", content=content, headers={"Content-Type": media_type})
            assert answer.status_code == 413, path
            assert answer.headers["content-security-policy"]
    whole = await local.post("/probe/raw", content=b"x" * (1 << 20), headers={"Content-Type": "application/x-tar"})
    assert whole.json() == 1 << 20


async def test_no_body_needs_no_type(client: httpx.AsyncClient) -> None:
    assert (await client.post("/probe/empty")).status_code == 200


@pytest.mark.parametrize("body", [rb'{"text": "\ud800"}', rb'{"text": "a\u0000b"}', rb'{"\udfff": 1}', b"[" * 100_000])
async def test_texts_no_database_can_keep_are_bad_input(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/probe/json", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}


@pytest.mark.parametrize("body", [rb'{"text": "\ud83d\udc0b"}', rb'{"text": "\\u0000 and \\ud800"}'])
async def test_texts_that_only_look_suspicious_are_kept(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/probe/json", content=body, headers={"Content-Type": "application/json"})
    assert answer.json() in {"🐋", r"\u0000 and \ud800"}


@pytest.mark.parametrize("path", ["/probe/things/a%00b", "/probe/page?x=%00", "/api/v1/tokens?cursor=%00"])
async def test_a_nul_in_the_address_is_refused(local: httpx.AsyncClient, path: str) -> None:
    assert (await local.get(path)).status_code in {404, 422}


# ── rights and owners ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("admin", 200), ("member", 200), ("viewer", 403)])
async def test_a_route_asks_for_its_permission(app: FastAPI, role: str, status: int) -> None:
    person = await add_person(app, role)
    async with browser_of(app, person.email) as browser:
        assert (await browser.post("/probe/json", json={})).status_code == status


async def test_a_smaller_role_counts_from_the_next_request_on(app: FastAPI) -> None:
    person = await add_person(app, "member")
    async with browser_of(app, person.email) as browser:
        assert (await browser.post("/probe/json", json={})).status_code == 200
        await write(app, update(Membership).where(Membership.user_id == person.id).values(role="viewer"))
        assert (await browser.post("/probe/json", json={})).status_code == 403
        await write(app, delete(Membership).where(Membership.user_id == person.id))
        assert (await browser.get("/probe/things/x")).status_code == 403


async def test_pages_take_sessions_and_the_private_socket_but_no_tokens(
    app: FastAPI, client: httpx.AsyncClient, local: httpx.AsyncClient
) -> None:
    token = await add_token(app, await add_person(app, "owner"), "*")
    async with browser_of(app) as browser, client_of(app, Authorization=f"Bearer {token}") as program:
        assert [(await each.get("/probe/page")).status_code for each in (browser, local)] == [200, 200]
        for each in (program, client):
            refused = await each.get("/probe/page")
            assert refused.status_code == 403
            assert "/api/v1" in refused.text
            assert (await each.get("/api/docs")).status_code == 200
        both = await browser.get("/probe/page", headers={"Authorization": f"Bearer {token}"})
        assert both.status_code == 403, "one way in per request"


async def test_a_role_nobody_defined_may_nothing(app: FastAPI) -> None:
    person = await add_person(app, "Owner", email="captain@example.org")
    async with browser_of(app, person.email) as browser:
        assert (await browser.get("/api/v1/me")).json()["permissions"] == []
        assert (await browser.get("/api/v1/tokens")).status_code == 403


async def test_the_sessions_of_a_door_see_one_team(app: FastAPI, client: httpx.AsyncClient) -> None:
    await add_team(app, "rivals")
    assert (await client.get("/probe/teams")).json() == [1, 1]
    assert (await client.get("/probe/teams/open")).json() == [2, 2]


async def test_a_thing_of_another_team_looks_unknown_to_everybody(app: FastAPI) -> None:
    owners.update(mine=await default_team(app), theirs=await add_team(app, "rivals"))
    async with (
        browser_of(app) as browser,
        local_client(app) as local,
        client_of(app, Authorization=f"Bearer {API_TOKEN}") as admin,
    ):
        for client in (browser, local, admin):
            assert (await client.get("/probe/things/mine")).json() == "mine"
            unknown = await client.get("/probe/things/unknown")
            assert unknown.status_code == 404
            assert same_answer(await client.get("/probe/things/theirs"), unknown)
            assert same_answer(await client.get("/probe/things/" + "x" * 65), unknown)


async def test_denied_attempts_are_in_the_trail_with_who_tried(app: FastAPI, client: httpx.AsyncClient) -> None:
    viewer = await add_person(app, "viewer")
    async with browser_of(app, viewer.email) as browser:
        await browser.post("/probe/json", json={})
    events = (await client.get("/api/v1/events", params={"type": "AttemptDenied"})).json()["items"]
    assert (events[0]["actor"], events[0]["via"], events[0]["ip"]) == (viewer.email, "session", "127.0.0.1")
    assert events[0]["payload"] == {"route": "/probe/json", "method": "POST", "code": "forbidden"}


async def test_people_are_sent_to_the_sign_in_page_and_programs_are_told(anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get("/probe/page", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/probe/page")
    assert (await anonymous.get("/probe/stream")).headers["content-type"] == "application/problem+json"


async def test_secrets_are_for_those_who_entered_their_password_lately(app: FastAPI) -> None:
    async with browser_of(app) as browser:
        assert (await browser.get("/probe/hidden")).status_code == 200
        await write(app, update(BrowserSession).values(stepped_up_at=now().replace(year=2020)))
        assert (await browser.get("/probe/hidden")).json()["code"] == "step-up-required"
    token = await add_token(app, await add_person(app, "owner"), "service.read")
    async with client_of(app, Authorization=f"Bearer {token}") as program:
        assert (await program.get("/probe/hidden")).json()["code"] == "forbidden"


# ── pace ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_subject_has_a_pace_of_its_own(app: FastAPI) -> None:
    app.state.gate = AccessGate(app.state.resources, RateLimits(each=Rate(5, 0.1)))
    first, second = [await add_token(app, await add_person(app, "viewer"), "*") for _ in range(2)]
    async with (
        client_of(app, Authorization=f"Bearer {first}") as one,
        client_of(app, Authorization=f"Bearer {second}") as two,
    ):
        answers = [await one.get("/api/v1/me") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert int(answers[-1].headers["retry-after"]) == 10
        assert (await two.get("/api/v1/me")).status_code == 200
    async with local_client(app) as local:
        assert [(await local.get("/api/v1/me")).status_code for _ in range(8)] == [200] * 8


async def make_hook(client: httpx.AsyncClient) -> dict[str, str]:
    made = await client.post("/api/v1/projects", json={"name": f"Hooked {new_id()}"})
    body = {"name": "web", "source": {"type": "git", "repository": "https://example.org/a"}}
    service = await client.post(f"/api/v1/projects/{made.json()['id']}/services", json=body)
    hook = {"provider": "generic", "branch": "main"}
    answer = await client.post(f"/api/v1/services/{service.json()['id']}/hooks", json=hook)
    made: dict[str, str] = answer.json()
    return made


async def test_unsigned_pushes_never_spend_what_signed_ones_need(app: FastAPI, client: httpx.AsyncClient) -> None:
    limits = RateLimits(refused=Rate(30, 0.001), unsigned=Rate(5, 0.001), pushes=Rate(4, 0.001))
    app.state.gate = AccessGate(app.state.resources, limits)
    one, two = await make_hook(client), await make_hook(client)
    body = b'{"branch": "dev", "commit": "' + b"a" * 40 + b'"}'

    def sign(hook: dict[str, str]) -> dict[str, str]:
        digest = hmac.digest(hook["secret"].encode(), body, "sha256").hex()
        return {"Content-Type": "application/json", "X-Orca-Signature-256": f"sha256={digest}"}

    async with client_from(app, "198.51.100.9") as stranger, client_from(app, "198.51.100.8") as other:
        wrong = {**sign(one), "X-Orca-Signature-256": "sha256=" + "0" * 64}
        path = f"/api/v1/hooks/{one['id']}"
        statuses = [(await stranger.post(path, content=body, headers=wrong)).status_code for _ in range(700)]
        assert Counter(statuses) == {401: 30, 429: 670}
        assert [(await stranger.post(path, content=body, headers=sign(one))).status_code for _ in range(5)] == [
            200
        ] * 4 + [429]
        assert (await other.post(path, content=body, headers=wrong)).status_code == 401
        assert (await other.post(f"/api/v1/hooks/{two['id']}", content=body, headers=sign(two))).status_code == 200
        assert (await stranger.get("/api/v1/me")).status_code == 401
    async with app.state.resources.db.read() as session:
        refused = (await session.scalars(select(Push).where(Push.hook_id == one["id"]))).all()
    assert [each.times for each in refused if each.is_refused] == [5]


async def test_invented_hooks_are_counted_by_address_and_leave_nothing(app: FastAPI) -> None:
    app.state.gate = AccessGate(app.state.resources, RateLimits(refused=Rate(30, 0.1)))
    async with client_from(app, "198.51.100.77") as stranger, client_from(app, "198.51.100.78") as other:
        statuses = [(await stranger.post(f"/api/v1/hooks/{number}", json={})).status_code for number in range(40)]
        assert statuses == [401] * 30 + [429] * 10
        assert (await other.post("/api/v1/hooks/1", json={})).status_code == 401
        assert (await stranger.post("/api/v1/session", json={"email": "a@b", "password": "x"})).status_code == 401
    async with app.state.resources.db.read() as session:
        kept = (await session.scalars(select(Attempt.key))).all()
        denied = (await session.scalars(select(Event).where(Event.ip == "198.51.100.77"))).all()
    assert [key for key in kept if "hook" in key] == []
    assert [each.payload["route"] for each in denied] == ["/api/v1/hooks/{hook_id}", "/api/v1/session"]


async def test_refusals_of_a_stranger_are_in_the_trail_once_a_minute_with_how_many_there_were(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    passed = 0.0
    app.state.gate = gate = AccessGate(app.state.resources)
    gate._denials = RepeatCounter(60, lambda: passed)
    async with client_from(app, "198.51.100.79") as stranger:
        for _ in range(3):
            for _ in range(5):
                assert (await stranger.post("/probe/json", json={})).status_code == 401
            passed += 61
    events = (await client.get("/api/v1/events", params={"type": "AttemptDenied"})).json()["items"]
    assert [each["payload"].get("repeated") for each in events if each["ip"] == "198.51.100.79"] == [4, 4, None]


async def test_secrets_are_shown_so_many_times_an_hour(app: FastAPI) -> None:
    app.state.gate = AccessGate(app.state.resources, RateLimits(reveal=Limit(2, 3600)))
    async with browser_of(app) as browser:
        assert [(await browser.get("/probe/hidden")).status_code for _ in range(3)] == [200, 200, 429]
    app.state.gate = AccessGate(app.state.resources, RateLimits(reveal=Limit(2, 3600)))
    async with browser_of(app) as again:
        assert (await again.get("/probe/hidden")).status_code == 429


async def test_a_met_limit_is_in_the_trail_once(app: FastAPI, client: httpx.AsyncClient) -> None:
    app.state.gate = AccessGate(app.state.resources, RateLimits(claim=Limit(2, 60)))
    async with client_from(app, "2001:db8::7") as sender:
        for _ in range(6):
            await sender.post("/api/v1/claim", json={"token": "x", "email": "a@b.example", "password": "x" * 20})
    events = (await client.get("/api/v1/events", params={"type": "AttemptsLimited"})).json()["items"]
    assert [(event["ip"], event["payload"]["what"]) for event in events if event["ip"] == "2001:db8::7"] == [
        ("2001:db8::7", "claim")
    ]


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Reader:
    """Reads a stream as a browser does, line by line, while the test goes on."""

    def __init__(
        self, app: FastAPI, cookie: str, *, method: str = "GET", path: str = "/probe/stream", **headers: str
    ) -> None:
        self.lines = 0
        self._asked = {"method": method, "path": path, "raw_path": path.encode()}
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.status = 0
        self._app = app
        self._cookie = cookie
        self._leaving = asyncio.Event()
        self._has_sent = False
        self._begun = asyncio.Event()
        self._task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        scope = {
            "type": "http", **self._asked, "query_string": b"", "scheme": "http",
            "headers": [(b"host", b"localhost"), (b"cookie", self._cookie.encode()), *self._headers],
            "client": ("127.0.0.1", 1), "server": ("localhost", 80), "http_version": "1.1", "root_path": "",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }  # fmt: skip
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, object]:
        if not self._has_sent:
            self._has_sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._leaving.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            self.status = int(str(message["status"]))
        elif message.get("body"):
            self.lines += 1
            self._begun.set()

    async def first_line(self) -> int:
        await asyncio.wait_for(self._begun.wait(), 10)
        return self.status

    async def end(self, seconds: float) -> None:
        await asyncio.wait_for(self._task, seconds)

    async def leave(self) -> None:
        self._leaving.set()
        await self.end(5)


def reader_of(app: FastAPI, browser: httpx.AsyncClient) -> Reader:
    return Reader(app, f"orca_session={browser.cookies['orca_session']}")


@pytest.mark.parametrize("event", ["signed out", "disabled", "removed from the team", "left with another"])
async def test_an_open_stream_ends_soon_after_its_right_does(app: FastAPI, event: str) -> None:
    person = await add_person(app, "viewer")
    if event == "left with another":  # in which the person may open the same streams
        row = {"id": new_id(), "team_id": await add_team(app, "crew"), "user_id": person.id, "role": "viewer"}
        await write(app, insert(Membership).values(created_at=now(), **row))
    async with browser_of(app, person.email) as browser:
        reader = reader_of(app, browser)
        assert await reader.first_line() == 200
        await write(
            app,
            {
                "signed out": delete(BrowserSession).where(BrowserSession.user_id == person.id),
                "disabled": update(User).where(User.id == person.id).values(disabled_at=now()),
                "removed from the team": delete(Membership).where(Membership.user_id == person.id),
                "left with another": delete(Membership).where(
                    Membership.team_id == person.team_id, Membership.user_id == person.id
                ),
            }[event],
        )
        await reader.end(gate_module._RECHECK_SECONDS + 2)
        assert 0 < reader.lines < 600


async def test_a_quiet_stream_of_a_writing_route_ends_with_its_right_too(app: FastAPI) -> None:
    person = await add_person(app, "member")
    async with browser_of(app, person.email) as browser:
        csrf = {"x-csrf-token": browser.headers["x-csrf-token"], "origin": "http://localhost"}
        cookie = f"orca_session={browser.cookies['orca_session']}"
        reader = Reader(app, cookie, method="POST", path="/probe/quiet", **csrf)
        assert await reader.first_line() == 200
        await write(app, update(User).where(User.id == person.id).values(disabled_at=now()))
        await reader.end(gate_module._RECHECK_SECONDS + 1)


async def test_a_stream_is_not_begun_twice_under_one_key(app: FastAPI) -> None:
    person = await add_person(app, "member")
    async with browser_of(app, person.email) as browser:
        headers = {"x-csrf-token": browser.headers["x-csrf-token"], "origin": "http://localhost"}
        headers |= {"idempotency-key": "run-1"}
        cookie = f"orca_session={browser.cookies['orca_session']}"
        readers = []
        for expected in (200, 409):
            readers.append(Reader(app, cookie, method="POST", path="/probe/quiet", **headers))
            assert await readers[-1].first_line() == expected
        await readers[0].leave()


async def test_refusals_of_a_signed_in_person_are_collapsed_in_the_trail(app: FastAPI) -> None:
    person = await add_person(app, "viewer")
    async with browser_of(app, person.email) as browser:
        for _ in range(30):
            assert (await browser.post("/probe/empty")).status_code == 403
    async with app.state.resources.db.read() as session:
        query = select(Event).where(Event.type == "AttemptDenied", Event.actor == person.email)
        assert len((await session.scalars(query)).all()) == 1


async def test_streams_of_one_subject_are_bounded_and_leaving_makes_room(app: FastAPI) -> None:
    app.state.gate = AccessGate(app.state.resources, RateLimits(open_streams=2))
    async with browser_of(app) as browser:
        readers = [reader_of(app, browser) for _ in range(2)]
        assert [await reader.first_line() for reader in readers] == [200, 200]
        third = reader_of(app, browser)
        assert await third.first_line() == 429
        await readers[0].leave()
        fourth = reader_of(app, browser)
        assert await fourth.first_line() == 200
        for reader in (readers[1], fourth):
            await reader.leave()


async def test_streams_that_are_asked_for_at_the_same_moment_are_bounded_too(app: FastAPI) -> None:
    app.state.gate = AccessGate(app.state.resources, RateLimits(open_streams=3))
    async with browser_of(app) as browser:
        readers = [reader_of(app, browser) for _ in range(40)]
        statuses = [await reader.first_line() for reader in readers]
        assert sorted(statuses) == [200] * 3 + [429] * 37  # refused before anything was begun, never an empty 200
        for reader in readers:
            await reader.leave()
        assert await reader_of(app, browser).first_line() == 200


async def test_a_stream_that_fails_before_it_begins_gives_its_place_back(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    app.state.gate = AccessGate(app.state.resources, RateLimits(open_runs=1))
    project = (await client.post("/api/v1/projects", json={"name": "Runs"})).json()
    body = {"name": "web", "kind": "worker", "source": {"type": "image", "image": "app"}}
    service = (await client.post(f"/api/v1/projects/{project['id']}/services", json=body)).json()
    for _ in range(3):
        answer = await client.post(f"/api/v1/services/{service['id']}/run", json={"command": ["true"]})
        assert (answer.status_code, answer.json()["detail"]) == (409, "this service has no release yet")


async def test_another_site_cannot_open_a_stream(app: FastAPI) -> None:
    async with browser_of(app) as browser:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {"Origin": "https://evil.example"}):
            assert (await browser.get("/probe/stream", headers=headers)).status_code == 403
            answer = await browser.get("/api/v1/me", headers=headers)
            assert "access-control-allow-origin" not in answer.headers


async def test_a_request_past_its_deadline_is_given_up_and_may_be_repeated(client: httpx.AsyncClient) -> None:
    began = time.monotonic()
    answer = await client.get("/probe/slow")
    assert (answer.status_code, answer.json()["detail"]) == (503, "The request was given up after 0.3 seconds.")
    assert int(answer.headers["Retry-After"]) > 0
    assert time.monotonic() - began < 10


async def test_a_crash_tells_nothing_but_an_id(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/crash", json={"text": "canary-7f3a"})
    assert answer.status_code == 500
    assert "canary-7f3a" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
