"""The audit trail through its doors: who sees what, as a list and live, and that tampering is noticed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, select, update
from tests.attacks.people import add_person, add_team, browser_of, default_team
from tests.conftest import client_of

from orca.events import Event, Fact, record

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def happen(app: FastAPI, fact_type: str, team_id: str | None = None, object_id: str | None = None) -> int:
    async with app.state.resources.db.write() as session:
        row = await record(session, Fact(fact_type, team_id, "thing", object_id))
    return row.seq


async def seen(client: httpx.AsyncClient, **params: object) -> list[int]:
    answer = await client.get("/api/v1/events", params=params)
    assert answer.status_code == 200, answer.text
    return [event["seq"] for event in answer.json()["items"]]


async def test_a_team_sees_its_own_events_and_nobody_elses(app: FastAPI, client: httpx.AsyncClient) -> None:
    ours = await happen(app, "ThingHappened", await default_team(app))
    rivals = await add_team(app, "rivals")
    theirs = await happen(app, "ThingHappened", rivals)
    of_nobody = await happen(app, "ThingHappened")
    viewer, rival = await add_person(app, "viewer"), await add_person(app, "owner", team_id=rivals)
    async with browser_of(app, viewer.email) as mine, browser_of(app, rival.email) as other:
        assert await seen(mine, type="ThingHappened") == [ours]
        assert await seen(other, type="ThingHappened") == [theirs]
    assert await seen(client, type="ThingHappened") == [of_nobody, ours]


async def test_events_are_filtered_and_paged_newest_first(app: FastAPI, client: httpx.AsyncClient) -> None:
    team = await default_team(app)
    numbers = [await happen(app, "ThingCounted", team, f"thing-{n % 2}") for n in range(5)]
    assert await seen(client, object_type="thing", object_id="thing-0") == [numbers[4], numbers[2], numbers[0]]
    first = (await client.get("/api/v1/events", params={"type": "ThingCounted", "limit": 2})).json()
    assert [event["seq"] for event in first["items"]] == [numbers[4], numbers[3]]
    rest = await seen(client, type="ThingCounted", cursor=first["next_cursor"])
    assert rest == [numbers[2], numbers[1], numbers[0]]
    assert await seen(client, type="NeverHappened") == []


@pytest.mark.parametrize(
    "params", [{"cursor": "x"}, {"cursor": "-1"}, {"cursor": "9" * 30}, {"limit": 0}, {"type": "a b"}]
)
async def test_bad_filters_are_refused(client: httpx.AsyncClient, params: dict[str, object]) -> None:
    assert (await client.get("/api/v1/events", params=params)).status_code == 422


async def test_only_instance_admins_verify_the_chain_and_a_change_is_found(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    owner = await add_person(app, "owner")
    async with browser_of(app, owner.email) as browser:
        assert (await browser.get("/api/v1/events/verify")).status_code == 403
    seq = await happen(app, "ThingHappened")
    await happen(app, "ThingHappened")
    assert (await client.get("/api/v1/events/verify")).json()["is_intact"]
    db = app.state.resources.db
    async with db.read() as session:
        original = await session.scalar(select(Event.actor).where(Event.seq == seq))
    for broken, change in (
        (seq, update(Event).where(Event.seq == seq).values(actor="somebody else")),
        (seq, update(Event).where(Event.seq == seq).values(actor=original, payload={"x": 1})),
    ):
        async with db.write() as session:
            await session.execute(change)
        answer = (await client.get("/api/v1/events/verify")).json()
        assert (answer["is_intact"], answer["first_broken"]) == (False, broken)
    async with db.write() as session:
        await session.execute(update(Event).where(Event.seq == seq).values(payload={}))
    assert (await client.get("/api/v1/events/verify")).json()["is_intact"]
    async with db.write() as session:
        await session.execute(delete(Event).where(Event.seq == seq))
    assert (await client.get("/api/v1/events/verify")).json()["first_broken"] == seq + 1


@asynccontextmanager
async def following(app: FastAPI, cookie: str, **headers: str) -> AsyncIterator[asyncio.Queue[dict[str, object]]]:
    """Frames of the stream as they arrive."""
    frames: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    leaving = asyncio.Event()

    async def receive() -> dict[str, object]:
        await leaving.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            frames.put_nowait({"status": message["status"], "headers": dict(message["headers"])})
        for frame in message.get("body", b"").decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
            if fields:
                frames.put_nowait({**fields, "data": json.loads(fields["data"])})

    extra = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "GET", "path": "/api/v1/events/stream", "raw_path": b"", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"cookie", cookie.encode()), *extra], "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("localhost", 80), "http_version": "1.1", "root_path": "",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip
    running = asyncio.ensure_future(app(scope, receive, send))
    try:
        yield frames
    finally:
        leaving.set()
        await asyncio.wait_for(running, 10)


async def next_of(frames: asyncio.Queue[dict[str, object]]) -> dict[str, object]:
    return await asyncio.wait_for(frames.get(), 10)


async def test_events_arrive_live_for_their_team_only(app: FastAPI) -> None:
    team, rivals = await default_team(app), await add_team(app, "rivals")
    viewer = await add_person(app, "viewer")
    async with browser_of(app, viewer.email) as browser:
        cookie = f"orca_session={browser.cookies['orca_session']}"
        async with following(app, cookie) as frames:
            start = await next_of(frames)
            assert start["headers"][b"content-type"].startswith(b"text/event-stream")
            await asyncio.sleep(0.1)
            await happen(app, "ThingHappened", rivals)
            await happen(app, "ThingHappened")
            seq = await happen(app, "ThingHappened", team, "ours")
            frame = await next_of(frames)
            assert (frame["id"], frame["event"], frame["data"]["object_id"]) == (str(seq), "ThingHappened", "ours")
            assert frames.empty()


async def test_a_reader_who_was_away_gets_what_happened_meanwhile(app: FastAPI) -> None:
    team = await default_team(app)
    async with browser_of(app) as browser:
        numbers = [await happen(app, "ThingHappened", team) for _ in range(3)]
        cookie = f"orca_session={browser.cookies['orca_session']}"
        async with following(app, cookie, **{"Last-Event-ID": str(numbers[0])}) as frames:
            await next_of(frames)
            assert [int(str((await next_of(frames))["id"])) for _ in range(2)] == numbers[1:]


async def test_nobody_follows_without_signing_in(app: FastAPI) -> None:
    async with client_of(app) as client:
        assert (await client.get("/api/v1/events/stream")).status_code == 401
