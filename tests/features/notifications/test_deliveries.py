"""Deliveries to a real receiver: signed, tried again, ended, and never to where nothing is sent."""

import base64
import hmac
import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from structlog.testing import capture_logs
from tests.conftest import client_of, make_settings
from tests.core.test_tasks import eventually
from tests.features.notifications.conftest import Receiver, Request
from tests.features.notifications.test_webhook_doors import URL, payloads

from orca.db import now
from orca.events import Fact, record
from orca.features.access.models import Team
from orca.features.notifications.models import Delivery, Webhook
from orca.features.notifications.operations import forget_replaced_secrets, try_delivery
from orca.features.notifications.tasks import forget_deliveries
from orca.kit.clock import format_instant
from orca.tasks import Task, TaskStep

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("working")]
FINISHED = {
    "service": "web", "number": 7, "deployment_id": "d1", "kind": "deploy", "state": "succeeded", "code": None,
    "private": "canary-payload",
}  # fmt: skip


async def team_of(app: FastAPI) -> str:
    async with app.state.resources.db.read() as session:
        return str(await session.scalar(select(Team.id).where(Team.slug == "default")))


async def happen(app: FastAPI, team_id: str | None, type_: str = "DeploymentFinished", **payload: object) -> None:
    async with app.state.resources.db.write() as session:
        await record(session, Fact(type_, team_id, "service", "s1", {**FINISHED, **payload}))


async def deliveries(client: httpx.AsyncClient, webhook: dict[str, Any], **wanted: str) -> list[dict[str, Any]]:
    return (await client.get(f"{URL}/{webhook['id']}/deliveries", params=wanted)).json()["items"]


async def ended(
    client: httpx.AsyncClient, webhook: dict[str, Any], number: int = 1, seconds: float = 30
) -> list[dict[str, Any]]:
    async def are_there() -> list[dict[str, Any]]:
        found = [each for each in await deliveries(client, webhook) if each["state"] != "queued"]
        return found if len(found) >= number else []

    return await eventually(are_there, seconds)


async def tried(client: httpx.AsyncClient, webhook: dict[str, Any], attempts: int) -> dict[str, Any]:
    async def is_there() -> dict[str, Any] | None:
        return next((row for row in await deliveries(client, webhook) if row["attempts"] >= attempts), None)

    return await eventually(is_there)


async def hurry(app: FastAPI) -> None:
    """Let the pause before the next try of a delivery be over."""
    resources, sleeps = app.state.resources, (Task.state == "queued", Task.not_before > now())

    async def does_sleep() -> bool:
        async with resources.db.read() as session:
            return await session.scalar(select(Task.id).where(*sleeps)) is not None

    await eventually(does_sleep)
    async with resources.db.write() as session:
        await session.execute(update(Task).where(*sleeps).values(not_before=now()))
        await session.execute(update(TaskStep).values(outcome={"result": format_instant(now())}))
        await resources.tasks.cancel(session, "no task", "")  # the engine looks again after this commit


def is_signed(request: Request, secret: str) -> bool:
    """As a receiver would check it, who has only the documentation."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.{request.body}"
    expected = base64.b64encode(hmac.new(key, signed.encode(), "sha256").digest()).decode()
    return f"v1,{expected}" in request.headers["webhook-signature"].split(" ")


async def test_event_arrives_signed_with_its_public_fields(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    await happen(app, await team_of(app))
    [row] = await ended(client, webhook)
    [request] = receiver.requests
    assert is_signed(request, webhook["secret"])
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 30
    assert (request.headers["webhook-id"], request.headers["content-type"]) == (row["id"], "application/json")
    body = json.loads(request.body)
    assert (body["type"], body["timestamp"][-1]) == ("deployment.finished", "Z")
    assert body["data"] == {
        "deployment_id": "d1", "number": 7, "service_id": "s1", "service": "web", "kind": "deploy",
        "state": "succeeded", "code": None,
    }  # fmt: skip
    assert (row["state"], row["status_code"], row["attempts"], row["problem"]) == ("delivered", 204, 1, "")
    shown = (await client.get(f"{URL}/{webhook['id']}/deliveries/{row['id']}")).json()
    assert shown["body"] == request.body
    assert (await client.get(URL)).json()["items"][0]["last_delivery"]["id"] == row["id"]


async def test_rotated_secret_signs_beside_the_new_one_for_a_day_and_is_then_forgotten(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    team_id, path, resources = await team_of(app), f"{URL}/{webhook['id']}", app.state.resources
    first, second, third = webhook["secret"], *[(await rotate(client, path))["secret"] for _ in range(2)]

    async def fits() -> list[bool]:
        number = len(receiver.requests) + 1
        await happen(app, team_id)
        await ended(client, webhook, number)
        return [is_signed(receiver.requests[-1], secret) for secret in (first, second, third)]

    assert await fits() == [False, True, True]
    until = datetime.fromisoformat((await client.get(path)).json()["replaced_until"])
    assert timedelta(hours=23) < until - now() < timedelta(hours=24)
    async with resources.db.write() as session:
        await session.execute(update(Webhook).values(replaced_until=now()))
    assert await fits() == [False, False, True]
    await forget_replaced_secrets(resources)
    assert (await client.get(path)).json()["replaced_until"] is None
    async with resources.db.read() as session:
        assert await session.scalar(select(Webhook.replaced_sealed)) is None


async def rotate(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    return dict((await client.post(f"{path}/rotate")).json())


async def test_only_what_is_asked_for_of_the_own_team_is_sent(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    team_id = await team_of(app)
    await client.patch(f"{URL}/{webhook['id']}", json={"types": ["deployment.finished"]})
    other = (await client.post(URL, json={"name": "Off", "url": receiver.url, "is_enabled": False})).json()
    await happen(app, "another-team")
    await happen(app, None)
    await happen(app, team_id, "DeploymentStarted")
    await happen(app, team_id, "SignedIn")
    await happen(app, team_id, number=8)
    await ended(client, webhook)
    assert [json.loads(each.body)["data"]["number"] for each in receiver.requests] == [8]
    assert await deliveries(client, other) == []


async def test_refused_message_is_tried_again_until_it_is_taken(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    receiver.answers = [500, 302]
    await happen(app, await team_of(app))
    for number, status in ((1, 500), (2, 302)):
        row = await tried(client, webhook, number)
        assert (row["state"], row["status_code"], str(status) in row["problem"]) == ("queued", status, True)
        assert row["next_try_at"]
        assert (await client.get(f"{URL}/{webhook['id']}")).json()["failing_since"]
        await hurry(app)
    [row] = await ended(client, webhook)
    assert (row["state"], row["attempts"], row["next_try_at"]) == ("delivered", 3, None)
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    assert len({each.body for each in receiver.requests}) == 1
    assert [each.path for each in receiver.requests] == ["/orca"] * 3  # the redirect was not followed
    assert (await client.get(f"{URL}/{webhook['id']}")).json()["failing_since"] is None


async def test_message_that_is_never_taken_ends_after_its_tries(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    receiver.answers = [503] * 9
    await happen(app, await team_of(app))
    for number in range(1, 9):
        await tried(client, webhook, number)
        await hurry(app)
    [row] = await ended(client, webhook)
    assert (row["state"], row["attempts"], row["status_code"]) == ("failed", 9, 503)
    again = await client.post(f"{URL}/{webhook['id']}/deliveries/{row['id']}/redeliver")
    assert (again.status_code, again.json()["state"]) == (202, "queued")
    [row] = await ended(client, webhook)
    assert (row["state"], row["attempts"]) == ("delivered", 10)
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1


async def test_webhook_that_takes_nothing_for_days_is_disabled_with_the_reason(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    async with app.state.resources.db.write() as session:
        await session.execute(update(Webhook).values(failing_since=now() - timedelta(days=5)))
    receiver.answers = [500]
    await happen(app, await team_of(app))
    [row] = await ended(client, webhook)
    assert row["state"] == "failed"
    shown = (await client.get(f"{URL}/{webhook['id']}")).json()
    assert (shown["is_enabled"], "5 days" in shown["problem"]) == (False, True)
    [payload] = await payloads(app, "WebhookDisabled")
    assert payload == {"name": "Chat", "host": "127.0.0.1", "reason": shown["problem"]}
    enabled = (await client.patch(f"{URL}/{webhook['id']}", json={"is_enabled": True})).json()
    assert (enabled["is_enabled"], enabled["problem"], enabled["failing_since"]) == (True, "", None)


async def test_receiver_that_is_gone_is_disabled_at_once_and_can_still_be_tested(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    receiver.answers = [410]
    await happen(app, await team_of(app))
    await ended(client, webhook)
    assert (await client.get(f"{URL}/{webhook['id']}")).json()["is_enabled"] is False
    sent = await client.post(f"{URL}/{webhook['id']}/test")
    assert (sent.status_code, sent.headers["location"]) == (
        202,
        f"{URL}/{webhook['id']}/deliveries/{sent.json()['id']}",
    )
    row, _ = await ended(client, webhook, 2)
    assert (row["type"], row["state"]) == ("ping", "delivered")
    assert json.loads(receiver.requests[-1].body)["data"] == {"webhook_id": webhook["id"], "name": "Chat"}


def slow(handler: BaseHTTPRequestHandler) -> None:
    """Trickle an answer without end."""
    handler.send_response(200)
    handler.send_header("content-length", str(1 << 40))
    handler.end_headers()
    handler.wfile.write(b"canary-answer" * 10_000)


def odd(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"canary-answer not http\r\n\r\n")
    handler.close_connection = True


async def test_answers_are_read_to_a_bound_and_kept_nowhere(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    receiver.answers = [slow, odd]
    with capture_logs() as logs:
        await client.post(f"{URL}/{webhook['id']}/test")
        await ended(client, webhook)
        await client.post(f"{URL}/{webhook['id']}/test")
        second, first = await ended(client, webhook, 2)
    assert (first["state"], first["status_code"]) == ("delivered", 200)
    assert (second["state"], second["status_code"]) == ("failed", None)
    assert "broke off" in second["problem"]
    async with app.state.resources.db.read() as session:
        rows = [vars(row) for row in await session.scalars(select(Delivery))]
    events = (await client.get("/api/v1/events")).text
    assert "canary" not in f"{rows} {events} {logs}"
    assert webhook["secret"] not in f"{rows} {events} {logs}"


@pytest.mark.parametrize(
    "url",
    [
        "http://localtest.invalid/", "https://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/", "http://0xa9fea9fe/", "http://8.8.8.8/",
    ],
)  # fmt: skip
async def test_address_that_turns_bad_later_is_refused_when_it_is_used(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any], url: str
) -> None:
    """The policy is applied to what a name resolves to at that moment, whatever was accepted before."""
    async with app.state.resources.db.write() as session:
        await session.execute(update(Webhook).values(url=url))
    await client.post(f"{URL}/{webhook['id']}/test")
    [row] = await ended(client, webhook)
    assert (row["state"], row["status_code"]) == ("failed", None)
    assert row["problem"]
    assert receiver.requests == []


async def test_setting_that_is_taken_back_counts_for_webhooks_that_exist(
    app: FastAPI, tmp_path: Path, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    resources = replace(app.state.resources, settings=make_settings(tmp_path / "data"))
    async with resources.db.write() as session:
        row = Delivery(team_id=await team_of(app), webhook_id=webhook["id"], type="ping", body="{}")
        session.add(row)
    assert await try_delivery(resources, row.id, None) is None
    async with resources.db.read() as session:
        stored = await session.get_one(Delivery, row.id)
    assert (stored.state, stored.status_code, "127.0.0.1" in stored.problem) == ("failed", None, True)
    assert receiver.requests == []


async def test_webhook_that_is_deleted_takes_what_waits_with_it(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    receiver.answers = [500]
    await happen(app, await team_of(app))
    await tried(client, webhook, 1)
    assert (await client.delete(f"{URL}/{webhook['id']}")).status_code == 204
    await hurry(app)

    async def is_over() -> bool:
        async with app.state.resources.db.read() as session:
            return not (await session.scalars(select(Task.id).where(Task.state.in_(("queued", "running"))))).all()

    await eventually(is_over)
    assert len(receiver.requests) == 1


async def test_old_deliveries_are_forgotten(app: FastAPI, client: httpx.AsyncClient, webhook: dict[str, Any]) -> None:
    for _ in range(2):
        await client.post(f"{URL}/{webhook['id']}/test")
    _, first = await ended(client, webhook, 2)
    async with app.state.resources.db.write() as session:
        old = update(Delivery).where(Delivery.id == first["id"])
        await session.execute(old.values(created_at=now() - timedelta(days=31)))
    await forget_deliveries(app.state.resources)
    assert first["id"] not in [each["id"] for each in await deliveries(client, webhook)]
    assert len(await deliveries(client, webhook)) == 1


async def test_event_with_a_payload_of_another_form_holds_up_no_other(
    app: FastAPI, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    team_id = await team_of(app)
    await happen(app, team_id, number="none")
    await happen(app, team_id, number=9)
    await ended(client, webhook)
    assert [json.loads(each.body)["data"]["number"] for each in receiver.requests] == [9]


async def test_metrics_show_the_lag(app: FastAPI, client: httpx.AsyncClient) -> None:
    async with client_of(app, Authorization=client.headers["authorization"]) as scraper:
        assert 'orc_event_consumer_lag{consumer="webhooks"} 0.0' in (await scraper.get("/api/metrics")).text
