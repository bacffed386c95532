"""Signing in, staying signed in, and signing out."""

import asyncio
import statistics
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import select, update
from tests.attacks.people import (
    PASSWORD,
    add_person,
    browser_of,
    client_from,
    hashed,
    same_answer,
    sign_in,
)
from tests.conftest import OWNER, claim, client_of, make_settings, running_app

from orca.db import now
from orca.errors import RateLimited
from orca.events import Event
from orca.features.identity.models import BrowserSession, User
from orca.features.identity.passwords import MAX_WAITING, is_password

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


async def change(app: FastAPI, model: type, **values: object) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(update(model).values(**values))


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(anonymous: httpx.AsyncClient) -> None:
    cookie = (await sign_in(anonymous)).headers["set-cookie"]
    assert cookie.startswith("orca_session=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_with_tls_the_cookie_is_bound_to_this_host(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", base={"url": "https://panel.example.org"})
    async with running_app(settings) as app:
        await claim(app)
        async with client_of(app) as client:
            answer = await sign_in(client)
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-orca_session=")
            assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
            assert answer.headers["strict-transport-security"]


async def test_the_database_holds_no_cookie_and_no_password(app: FastAPI) -> None:
    async with browser_of(app) as browser:
        content = b"".join(path.read_bytes() for path in app.state.settings.data_dir.glob("orc.db*"))
        assert OWNER["email"].encode() in content
        assert browser.cookies["orca_session"].encode() not in content
        assert PASSWORD.encode() not in content


async def test_wrong_unknown_and_disabled_answer_alike(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    gone = await add_person(app, "member")
    async with app.state.resources.db.write() as session:
        await session.execute(update(User).where(User.id == gone.id).values(disabled_at=now()))
    wrong = await sign_in(anonymous, OWNER["email"], "not-the-password")
    unknown = await sign_in(anonymous, "nobody@example.org", "not-the-password")
    disabled = await sign_in(anonymous, gone.email, PASSWORD)
    assert wrong.status_code == 401
    assert same_answer(wrong, unknown)
    assert same_answer(wrong, disabled)


async def test_unknown_accounts_cost_as_much_time_as_known_ones(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    known = [(await add_person(app, "member")).email for _ in range(8)]
    unknown = [f"nobody{number}@example.org" for number in range(8)]
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for pair in zip(known, unknown, strict=True):
        for email in pair:
            started = time.perf_counter()
            assert (await sign_in(anonymous, email, "not-the-password")).status_code == 401
            seconds[email in known].append(time.perf_counter() - started)
    assert 0.6 < statistics.median(seconds[False]) / statistics.median(seconds[True]) < 1.7


async def test_the_email_is_found_whatever_its_case(anonymous: httpx.AsyncClient) -> None:
    assert (await sign_in(anonymous, " OWNER@Example.org ")).status_code == 201


async def test_signing_in_again_ends_the_session_the_browser_had(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    await sign_in(anonymous)
    before = anonymous.cookies["orca_session"]
    await sign_in(anonymous)
    assert anonymous.cookies["orca_session"] != before
    async with client_of(app, Cookie=f"orca_session={before}") as old:
        assert (await old.get("/api/v1/me")).status_code == 401


async def test_signing_out_ends_the_session_on_the_server(app: FastAPI) -> None:
    async with browser_of(app) as browser:
        cookie = browser.cookies["orca_session"]
        answer = await browser.delete("/api/v1/session")
        assert answer.status_code == 204
        assert 'orca_session=""' in answer.headers["set-cookie"]
        async with client_of(app, Cookie=f"orca_session={cookie}") as copy:
            assert (await copy.get("/api/v1/me")).status_code == 401


@pytest.mark.parametrize("ended", [{"seen_at": timedelta(minutes=721)}, {"expires_at": timedelta(seconds=1)}])
async def test_a_session_ends_by_silence_and_by_age(app: FastAPI, ended: dict[str, timedelta]) -> None:
    async with browser_of(app) as browser:
        assert (await browser.get("/api/v1/me")).status_code == 200
        await change(app, BrowserSession, **{column: now() - ago for column, ago in ended.items()})
        assert (await browser.get("/api/v1/me")).status_code == 401


async def test_use_keeps_a_session_alive(app: FastAPI) -> None:
    async with browser_of(app) as browser:
        await change(app, BrowserSession, seen_at=now() - timedelta(minutes=700))
        assert (await browser.get("/api/v1/me")).status_code == 200
        async with app.state.resources.db.read() as session:
            seen_at = max(await session.scalars(select(BrowserSession.seen_at)))
        assert now() - seen_at < timedelta(seconds=10)


async def test_a_disabled_user_is_out_at_once(app: FastAPI) -> None:
    async with browser_of(app) as browser:
        await change(app, User, disabled_at=now())
        assert (await browser.get("/api/v1/me")).status_code == 401


async def test_an_outdated_hash_is_replaced_when_its_password_is_known(
    app: FastAPI, anonymous: httpx.AsyncClient
) -> None:
    await change(app, User, password_hash=PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD))
    assert (await sign_in(anonymous)).status_code == 201
    async with app.state.resources.db.read() as session:
        stored = await session.scalar(select(User.password_hash))
    assert "$m=47104,t=2,p=1$" in stored
    assert (await sign_in(anonymous)).status_code == 201


async def test_five_wrong_passwords_close_the_account_for_a_while(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await sign_in(anonymous, OWNER["email"], "wrong wrong wrong")).status_code == 401
    refused = await sign_in(anonymous)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert (await sign_in(anonymous, "nobody@example.org", "x")).status_code == 401


async def guess(app: FastAPI, email: str, ip: str) -> list[int]:
    async with client_from(app, ip) as stranger:
        return [(await sign_in(stranger, email, f"wrong wrong {number}")).status_code for number in range(6)]


async def test_a_stranger_cannot_lock_somebody_out_of_where_they_sign_in(app: FastAPI) -> None:
    person = await add_person(app, "owner")
    async with client_from(app, "2001:db8:7::1") as home, client_from(app, "192.0.2.77") as away:
        assert (await sign_in(home, person.email)).status_code == 201
        assert await guess(app, person.email, "198.51.100.71") == [401] * 5 + [429]
        assert await guess(app, person.email, "198.51.100.72") == [429] * 6
        assert (await sign_in(away, person.email)).status_code == 429, "guessing is as slow as ever from elsewhere"
        assert (await home.post("/api/v1/me/step-up", json={"password": PASSWORD})).status_code == 200
        assert (await sign_in(home, person.email)).status_code == 201
    async with client_from(app, "2001:db8:7::2") as neighbour:
        assert (await sign_in(neighbour, person.email)).status_code == 201, "the same network"
    assert await guess(app, person.email, "198.51.100.73") == [429] * 6, "a sign-in elsewhere gives no tries back"


async def test_guesses_from_a_known_place_are_as_slow_and_lock_only_that_place(app: FastAPI) -> None:
    person = await add_person(app, "owner")
    async with client_from(app, "192.0.2.80") as home, client_from(app, "192.0.2.81") as office:
        for place in (home, office):
            assert (await sign_in(place, person.email)).status_code == 201
        assert await guess(app, person.email, "192.0.2.80") == [401] * 5 + [429]
        assert (await sign_in(home, person.email)).status_code == 429
        assert (await sign_in(office, person.email)).status_code == 201


async def test_a_place_is_forgotten_after_a_season(app: FastAPI) -> None:
    person = await add_person(app, "owner")
    async with client_from(app, "192.0.2.90") as home:
        assert (await sign_in(home, person.email)).status_code == 201
        async with app.state.resources.db.write() as session:
            await session.execute(
                update(Event).where(Event.object_id == person.id).values(at=now() - timedelta(days=91))
            )
        await guess(app, person.email, "198.51.100.90")
        assert (await sign_in(home, person.email)).status_code == 429


async def test_forwarded_headers_do_not_make_another_place(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    statuses = []
    for number in range(40):
        headers = dict.fromkeys(
            ("X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"), f"203.0.113.{number}"
        )
        headers["Forwarded"] = f"for=203.0.113.{number}"
        body = {"email": f"nobody{number}@example.org", "password": "wrong wrong wrong"}
        statuses.append((await anonymous.post("/api/v1/session", json=body, headers=headers)).status_code)
    assert statuses == [401] * 20 + [429] * 20
    async with client_from(app, "198.51.100.7") as elsewhere:
        assert (await sign_in(elsewhere)).status_code == 201


async def test_limits_survive_a_restart(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    async with running_app(settings) as app, client_of(app) as client:
        await claim(app)
        for _ in range(5):
            await sign_in(client, OWNER["email"], "wrong wrong wrong")
    async with running_app(settings) as app, client_of(app) as client:
        assert (await sign_in(client)).status_code == 429


async def test_honest_sign_ins_from_one_place_are_not_limited(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    for _ in range(25):
        assert (await sign_in(anonymous)).status_code == 201


async def test_parallel_guesses_are_counted_each(tmp_path: Path, database_url: str | None) -> None:
    settings = make_settings(tmp_path / "data", **({"database_url": database_url} if database_url else {}))
    async with running_app(settings) as app, client_of(app) as client:
        await claim(app)
        guess = {"email": OWNER["email"], "password": "wrong wrong wrong"}
        answers = await asyncio.gather(*(client.post("/api/v1/session", json=guess) for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


@pytest.mark.parametrize(
    "body",
    [
        {}, {"email": "a@b"}, {"email": "a@b", "password": ""}, {"email": "a@b", "password": "x" * 1025},
        {"email": "a@b", "password": ["x"]}, {"email": "a@b", "password": "x", "is_instance_admin": True},
        {"email": "no address", "password": "x"}, {"email": "a@b", "password": None}, [], "text",
    ],
)  # fmt: skip
async def test_bad_input_is_refused_without_repeating_it(anonymous: httpx.AsyncClient, body: object) -> None:
    answer = await anonymous.post("/api/v1/session", json=body)
    assert answer.status_code == 422
    assert "x" * 20 not in answer.text


async def test_broken_unicode_is_bad_input(anonymous: httpx.AsyncClient) -> None:
    for body in (rb'{"email": "a@b", "password": "\ud800aaaaaaaaaaaa"}', rb'{"email": "\ud800@b", "password": "x"}'):
        answer = await anonymous.post("/api/v1/session", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422


async def test_a_person_sees_and_ends_only_their_own_sessions(app: FastAPI) -> None:
    other = await add_person(app, "member")
    async with browser_of(app) as mine, browser_of(app, other.email) as theirs, browser_of(app) as second:
        listed = (await mine.get("/api/v1/me/sessions")).json()["items"]
        assert sum(item["is_current"] for item in listed) == 1
        foreign = (await theirs.get("/api/v1/me/sessions")).json()["items"][0]["id"]
        unknown = await mine.delete("/api/v1/me/sessions/01890000-0000-7000-8000-000000000000")
        assert same_answer(await mine.delete(f"/api/v1/me/sessions/{foreign}"), unknown)
        assert (await theirs.get("/api/v1/me")).status_code == 200
        second_id = next(
            item["id"] for item in (await second.get("/api/v1/me/sessions")).json()["items"] if item["is_current"]
        )
        assert (await mine.delete(f"/api/v1/me/sessions/{second_id}")).status_code == 204
        assert (await second.get("/api/v1/me")).status_code == 401


async def test_everybody_else_can_be_signed_out(app: FastAPI) -> None:
    async with browser_of(app) as mine, browser_of(app) as second:
        assert (await mine.delete("/api/v1/me/sessions")).status_code == 204
        assert (await mine.get("/api/v1/me")).status_code == 200
        assert (await second.get("/api/v1/me")).status_code == 401


async def test_hashing_leaves_the_loop_free() -> None:
    late = 0.0

    async def watch_loop() -> None:
        nonlocal late
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.005)
            late = max(late, time.perf_counter() - started - 0.005)

    watching = asyncio.create_task(watch_loop())
    started = time.perf_counter()
    assert await asyncio.gather(*(is_password(hashed(PASSWORD), "wrong") for _ in range(6))) == [False] * 6
    watching.cancel()
    assert late < (time.perf_counter() - started) / 2


async def test_the_line_in_front_of_hashing_is_bounded() -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(PASSWORD)
    checks = [asyncio.create_task(is_password(cheap, PASSWORD)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await is_password(cheap, PASSWORD)
    assert all(await asyncio.gather(*checks))
    assert await is_password(cheap, PASSWORD)
