"""The pages of webhooks through their doors: a secret that is shown once, mistakes at their fields, what was sent."""

import html
import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.features.dashboard.test_query_counts import MOST, statements_of
from tests.features.notifications.conftest import Receiver
from tests.features.notifications.test_deliveries import ended

pytestmark = pytest.mark.slow
SECRET = re.compile(r'id="secret-once" readonly value="([^"]+)"')


async def test_webhook_is_made_and_its_secret_shown_once(
    browser: httpx.AsyncClient, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    assert "No webhooks yet" in (await browser.get("/webhooks")).text
    typed = {"name": "Team chat", "url": receiver.url, "on_deployment_finished": "true"}
    made = await browser.post("/webhooks", data=typed)
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    [secret] = map(html.unescape, SECRET.findall(made.text))
    assert secret.startswith("whsec_")
    [row] = (await client.get("/api/v1/webhooks")).json()["items"]
    assert (row["name"], row["types"]) == ("Team chat", ["deployment.finished"])
    path = f"/webhooks/{row['id']}"
    assert secret not in (await browser.get(path)).text + (await browser.get("/webhooks")).text
    rotated = await browser.post(f"{path}/rotate")
    assert SECRET.findall(rotated.text) != [secret]
    assert "signs, too; ends" in rotated.text
    changed = await browser.post(path, data={"name": "Other", "url": receiver.url})
    assert (changed.status_code, changed.headers["location"]) == (303, path)
    assert (await client.get(f"/api/v1{path}")).json()["types"] == []
    await browser.post(f"{path}/enable", data={"on": "false"})
    assert "Disabled" in (await browser.get("/webhooks")).text
    await browser.post(f"{path}/delete")
    assert (await client.get("/api/v1/webhooks")).json()["items"] == []


async def test_mistakes_are_shown_at_their_fields(
    browser: httpx.AsyncClient, client: httpx.AsyncClient, webhook: dict[str, Any]
) -> None:
    for path in ("/webhooks", f"/webhooks/{webhook['id']}"):
        again = await browser.post(
            path, data={"name": "Kept", "url": "https://169.254.169.254/", "on_service_created": "true"}
        )
        assert again.status_code == 422
        assert "169.254.169.254 is where no webhook is sent to" in again.text
        assert 'value="Kept"' in again.text
        assert re.search(r'id="on_service_created"[^>]* checked', again.text)
    assert (await client.get(f"/api/v1/webhooks/{webhook['id']}")).json()["name"] == "Chat"


@pytest.mark.usefixtures("working")
async def test_deliveries_are_listed_with_the_answer_and_sent_again(
    browser: httpx.AsyncClient, client: httpx.AsyncClient, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    receiver.answers = [500]
    path = f"/webhooks/{webhook['id']}"
    assert "Nothing was sent yet" in (await browser.get(path)).text
    assert (await browser.post(f"{path}/test")).headers["location"] == path
    [row] = await ended(client, webhook)
    shown = html.unescape((await browser.get(path)).text)
    assert "The receiver answered 500." in shown
    assert "Send again" in shown
    again = await browser.post(f"{path}/deliveries/{row['id']}/redeliver")
    assert again.headers["location"] == path
    [row] = await ended(client, webhook)
    assert row["state"] == "delivered"
    assert "Delivered" in (await browser.get(path)).text


async def test_lists_cost_a_bounded_number_of_queries(
    app: FastAPI, browser: httpx.AsyncClient, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    for _ in range(15):
        await client.post("/api/v1/webhooks", json={"name": "One", "url": receiver.url})
    with statements_of(app.state.resources.db) as statements:
        assert (await browser.get("/webhooks")).status_code == 200
    assert len(statements) <= MOST
