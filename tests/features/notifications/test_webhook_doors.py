"""Webhooks through their doors: what is kept, what is shown once, and what is refused."""

from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import select

from orca.events import Event
from orca.features.notifications.models import Webhook
from orca.features.notifications.rules import MOST_WEBHOOKS
from orca.web.openapi import describe_api

URL = "/api/v1/webhooks"


async def payloads(app: FastAPI, type_: str) -> list[dict[str, Any]]:
    async with app.state.resources.db.read() as session:
        rows = await session.scalars(select(Event).where(Event.type == type_).order_by(Event.seq))
        return [row.payload for row in rows]


async def test_secret_is_shown_once_and_kept_sealed(
    app: FastAPI, client: httpx.AsyncClient, webhook: dict[str, Any]
) -> None:
    assert webhook["secret"].startswith("whsec_")
    shown = await client.get(f"{URL}/{webhook['id']}")
    everything = (await client.get(URL)).text + shown.text + (await client.get("/api/v1/events")).text
    assert webhook["secret"] not in everything
    assert shown.json() == {key: value for key, value in webhook.items() if key != "secret"}
    async with app.state.resources.db.read() as session:
        [row] = await session.scalars(select(Webhook))
    assert webhook["secret"].encode() not in row.sealed
    assert await payloads(app, "WebhookCreated") == [{"name": "Chat", "host": "127.0.0.1"}]
    rotated = (await client.post(f"{URL}/{webhook['id']}/rotate")).json()
    assert rotated["secret"] != webhook["secret"]
    assert len(await payloads(app, "WebhookRotated")) == 1


async def test_changes_are_checked_and_recorded(
    app: FastAPI, client: httpx.AsyncClient, webhook: dict[str, Any]
) -> None:
    path = f"{URL}/{webhook['id']}"
    changed = await client.patch(path, json={"types": ["service.deleted", "deployment.finished"], "is_enabled": False})
    assert changed.json()["types"] == ["deployment.finished", "service.deleted"]
    assert (await payloads(app, "WebhookUpdated"))[0]["fields"] == ["is_enabled", "types"]
    for body in (
        {"types": ["ping"]},
        {"types": ["SignedIn"]},
        {"url": "http://169.254.169.254/"},
        {"url": None},
        {"secret": "x"},
    ):
        answer = await client.patch(path, json=body)
        assert (answer.status_code, next(iter(answer.json()["fields"])).split(".")[0]) == (422, next(iter(body))), (
            answer.text
        )
    refused = await client.post(URL, json={"name": "x", "url": "https://169.254.169.254/"})
    assert refused.json()["fields"]["url"]
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_a_team_has_so_many_webhooks(client: httpx.AsyncClient) -> None:
    body = {"name": "One", "url": "https://hooks.example.org/orca"}
    answers = [(await client.post(URL, json=body)).status_code for _ in range(MOST_WEBHOOKS + 1)]
    assert answers == [201] * MOST_WEBHOOKS + [409]


async def test_webhooks_are_of_their_team(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, viewer: httpx.AsyncClient, webhook: dict[str, Any]
) -> None:
    path = f"{URL}/{webhook['id']}"
    sent = (await client.post(f"{path}/test")).json()
    for foreign in (path, f"{path}/deliveries", f"{path}/deliveries/{sent['id']}"):
        assert (await stranger.get(foreign)).status_code == 404
        assert (await viewer.get(foreign)).status_code == 403
    assert (await stranger.get(URL)).json()["items"] == []
    assert (await stranger.post(f"{path}/deliveries/{sent['id']}/redeliver")).status_code == 404


async def test_document_describes_each_message(app: FastAPI) -> None:
    document = describe_api(app)
    found = document["webhooks"]
    assert {"ping", "deployment.finished", "service.created", "certificate.expiring"} <= found.keys()
    operation = found["deployment.finished"]["post"]
    assert [each["name"] for each in operation["parameters"]] == [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ]
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    assert name == "DeploymentFinishedMessage"
    assert schema["properties"]["type"]["const"] == "deployment.finished"
    assert sorted(schema["required"]) == ["data", "timestamp", "type"]
