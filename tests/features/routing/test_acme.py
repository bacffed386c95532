"""The whole way to a public certificate, with a real ACME server: asked only once the name leads here."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from tests.attacks.people import local_client
from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app
from tests.features.routing.authority import HOSTNAME, Authority

from orca.features.routing.models import Route
from orca.features.routing.operations import apply_routes, check_names, check_route, watch_expiry
from orca.features.routing.steps.run_orders import run_orders
from orca.settings import Settings
from orca.web.guard import Scope

pytestmark = pytest.mark.slow


def settings_for(tmp_path: Path, authority: Authority) -> Settings:
    """The proxy listens where the authority looks."""
    return make_settings(
        tmp_path / "data",
        acme={"directory_url": authority.directory, "ca_root": tmp_path / "root.pem", "email": "ada@example.org"},
        proxy={
            "mode": "process", "http_port": authority.http_port, "https_port": authority.https_port,
            "bind": ("127.0.0.1",),
        },
    )  # fmt: skip


@pytest.fixture
async def live(tmp_path: Path, authority: Authority) -> AsyncIterator[FastAPI]:
    async with running_app(settings_for(tmp_path, authority)) as app:
        await claim(app)
        try:
            yield app
        finally:
            await (await app.state.resources.systems.proxy("local")).stop()


async def serial_of(authority: Authority, root: str) -> str | None:
    """Which certificate the proxy shows for the name; None while it shows none that ends at the root."""
    context = ssl.create_default_context(cadata=root)
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", authority.https_port, ssl=context, server_hostname=HOSTNAME
        )
    except (ssl.SSLError, ConnectionError):
        return None
    shown = writer.get_extra_info("peercert")
    writer.close()
    return str(shown["serialNumber"])


def seconds_until(instant: str) -> float:
    return (datetime.fromisoformat(instant) - datetime.now(UTC)).total_seconds()


async def here(_hostname: str) -> list[str]:
    return ["127.0.0.1"]


async def give_name(client: httpx.AsyncClient) -> str:
    """A service with the hostname; gives the id of its route."""
    project = (await client.post("/api/v1/projects", json={"name": "Shop"})).json()
    body = {"name": "Web", "build_source": {"type": "image", "image": "example.org/web"}}
    service = (await client.post(f"/api/v1/projects/{project['id']}/services", json=body)).json()
    return (await client.post(f"/api/v1/services/{service['id']}/routes", json={"hostname": HOSTNAME})).json()["id"]


async def test_a_certificate_comes_when_the_name_leads_here_and_not_before(live, authority: Authority) -> None:
    await authority.wait()
    root = await authority.root()

    async def elsewhere(_hostname: str) -> list[str]:
        return ["192.0.2.1"]

    resources = live.state.resources
    async with client_of(live, Authorization=f"Bearer {API_TOKEN}") as client:
        route_id = await give_name(client)
        await check_names(resources, resolve=elsewhere)
        assert await serial_of(authority, root) is None
        assert "Added order" not in (authority.folder / "log").read_text(), "no order was sent"
        async with resources.db.write() as session:
            (await session.get_one(Route, route_id)).acme_check_at = None
        await check_names(resources, resolve=here)
        await run_orders(resources)
        async with asyncio.timeout(60):
            while await serial_of(authority, root) is None:  # noqa: ASYNC110 - the proxy sets no event here
                await asyncio.sleep(0.2)
        assert "Added order" in (authority.folder / "log").read_text()
        (managed,) = (await client.get("/api/v1/certificates")).json()["managed"]
        assert managed["hostname"] == HOSTNAME
        assert "Pebble" in managed["issuer"]
        await run_orders(resources)
        route = (await client.get(f"/api/v1/routes/{route_id}")).json()
        assert (route["problem"], route["certificate_until"]) == ("", managed["not_after"])
        await watch_expiry(resources)
        events = (await client.get("/api/v1/events")).json()["items"]
        assert "CertificateExpiring" not in {event["type"] for event in events}


@pytest.mark.parametrize("authority", [13], indirect=True)
async def test_the_end_of_an_ordered_certificate_is_told(live, authority: Authority) -> None:
    await authority.wait()
    root, resources = await authority.root(), live.state.resources
    async with client_of(live, Authorization=f"Bearer {API_TOKEN}") as client:
        route_id = await give_name(client)
        await check_names(resources, resolve=here)
        await run_orders(resources)
        async with asyncio.timeout(60):
            while await serial_of(authority, root) is None:  # noqa: ASYNC110 - the proxy sets no event here
                await asyncio.sleep(0.2)
        await watch_expiry(resources)
        events = (await client.get("/api/v1/events")).json()["items"]
        (told,) = (event for event in events if event["type"] == "CertificateExpiring")
        assert (told["object_id"], told["payload"]["hostnames"]) == (route_id, [HOSTNAME])
        route = (await client.get(f"/api/v1/routes/{route_id}")).json()
        async with local_client(live) as local:
            page = (await local.get(f"/services/{route['service_id']}/domains")).text
        assert f"The certificate of {HOSTNAME} ends on {route['certificate_until'][:10]}" in page


async def test_a_refused_order_is_left_alone_over_reloads_and_restarts(live, authority: Authority, tmp_path) -> None:
    """Row 40: from here all looks well, but the authority finds another machine under the name."""
    await authority.wait()
    await authority.point("127.0.0.9")
    root, resources = await authority.root(), live.state.resources
    async with client_of(live, Authorization=f"Bearer {API_TOKEN}") as client:
        route_id = await give_name(client)
        await check_names(resources, resolve=here)
        async with asyncio.timeout(60):
            while not (route := (await client.get(f"/api/v1/routes/{route_id}")).json())["order_failures"]:
                await run_orders(resources)
                await asyncio.sleep(0.2)
        assert "127.0.0.9" in route["problem"]
        assert 14 * 60 < seconds_until(route["acme_check_at"]) < 16 * 60
        events = (await client.get("/api/v1/events")).json()["items"]
        (refused,) = (event for event in events if event["type"] == "CertificateRefused")
        assert "127.0.0.9" in refused["payload"]["reason"]
    orders = authority.orders
    async with running_app(settings_for(tmp_path, authority)) as again:
        resources = again.state.resources
        await (await resources.systems.proxy("local")).stop()
        await apply_routes(resources)
        await run_orders(resources)
        await check_names(resources, resolve=here)
        async with resources.db.read() as session:
            scope = Scope((await session.get_one(Route, route_id)).team_id)
        findings = await check_route(resources, scope, route_id, resolve=here)
        assert "127.0.0.9" in findings[-1].detail
        assert "orc domains retry" in findings[-1].hint
        await asyncio.sleep(2)
        assert authority.orders == orders, "no further order was sent"
        await authority.point("127.0.0.1")
        await check_route(resources, scope, route_id, retry=True, resolve=here)
        await run_orders(resources)
        async with asyncio.timeout(60):
            while await serial_of(authority, root) is None:  # noqa: ASYNC110 - the proxy sets no event here
                await asyncio.sleep(0.2)
        await run_orders(resources)
        async with resources.db.read() as session:
            row = await session.get_one(Route, route_id)
        assert (row.order_failures, row.problem, row.certificate_until is not None) == (0, "", True)
