"""Through the doors, with a real Caddy: what the API says is what a visitor gets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from tests.features.routing.bench import issue

from orca.db import now
from orca.events import Event
from orca.features.routing.actions import set_targets
from orca.features.routing.models import Route
from orca.features.routing.operations import apply_routes, check_drift, check_names
from orca.features.routing.schemas.routes import TargetIn
from orca.features.services.models import Service
from orca.sdk.testing.upstream import EchoUpstream

pytestmark = pytest.mark.slow

META = [
    "a;b.org", "a&b.org", "a|b.org", "a`b.org", "$(x).org", "${x}.org", "a'b.org", 'a"b.org', "a\\b.org", "a\nb.org",
    "a\r\nb.org", "a\x00b.org", "-a.org", "@a.org", "a%b.org", "../a.org", "a.org){}", "{http.vars}.org", "a" * 65536,
    "xn--\u00e9.org", "a\u202eb.org",
]  # fmt: skip

AGAINST_A_RULE: list[dict[str, Any]] = [
    {"hostname": "a.internal", "path_prefix": "/../x"},
    {"hostname": "a.internal", "redirect_to": "javascript:alert(1)"},
    {"hostname": "a.internal", "redirect_to": "https://{env.HOME}/"},
    {"hostname": "a.internal", "port": 0},
    {"hostname": "a.internal", "port": 65536},
    {"hostname": "a.internal", "team_id": "x"},
    {"hostname": "a.internal", "options": {"allow_ips": ["1.2.3.4; x"]}},
    {"hostname": "a.internal", "options": {"timeout": -1}},
    {"hostname": "a.internal", "options": {"timeout": float(1 << 40)}},
    {"hostname": "a.internal", "options": {"basic_auth": [{"username": "a:b", "password": "x"}]}},
    {"hostname": "a.internal", "options": {"basic_auth": [{"username": "a", "password": "x" * 73}]}},
    {"hostname": "a.internal", "options": {"basic_auth": [{"username": "a"}]}},
    {"hostname": "a.internal", "options": {"redirect_status": 200}},
    {"hostname": "a.internal", "certificate_id": "01a1fc35-ac52-7f11-8218-ce2473022760"},
    {},
]


@pytest.fixture
async def live(app: FastAPI) -> AsyncIterator[FastAPI]:
    """The application, and its proxy ended with the test."""
    yield app
    await (await app.state.resources.systems.proxy("local")).stop()


@pytest.fixture
async def service_id(client: httpx.AsyncClient, live: FastAPI) -> str:
    project = (await client.post("/api/v1/projects", json={"name": "Shop"})).json()
    body = {
        "name": "Web", "type": "web", "build_source": {"type": "image", "image": "example.org/web"},
        "ports": [{"name": "http", "port": 8080, "public": True}],
    }  # fmt: skip
    answer = await client.post(f"/api/v1/projects/{project['id']}/services", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def go_live(app: FastAPI, service_id: str, *upstreams: EchoUpstream) -> None:
    """What a deployment does."""
    resources = app.state.resources
    targets = [
        TargetIn(replica=number, address=each.at.host, ports=[{"name": "http", "port": each.at.port, "public": True}])
        for number, each in enumerate(upstreams)
    ]
    async with resources.db.write() as session:
        await set_targets(session, await session.get_one(Service, service_id), "release-1", targets)
    await apply_routes(resources)


@pytest.fixture
def visit(live: FastAPI) -> Callable[..., Awaitable[httpx.Response]]:
    """Ask the proxy for a hostname, over HTTP or, trusting the given roots, HTTPS."""

    async def ask(hostname: str, path: str = "/", *, roots: str | None = None, **more: Any) -> httpx.Response:
        ports = live.state.settings.proxy
        scheme, port = ("https", ports.https_port) if roots else ("http", ports.http_port)
        context = ssl.create_default_context(cadata=roots) if roots else True
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=10) as http:
            extensions = {"sni_hostname": hostname} if roots else {}
            url = f"{scheme}://127.0.0.1:{port}{path}"
            return await http.get(url, headers={"Host": hostname}, extensions=extensions, **more)

    return ask


async def test_from_a_hostname_to_the_service(client, live, service_id, visit) -> None:
    listed = (await client.get(f"/api/v1/services/{service_id}/routes")).json()["items"]
    assert [(each["hostname"], each["is_automatic"]) for each in listed] == [("web-shop.localhost", True)]
    body = {"hostname": "Shop.internal.", "path_prefix": "/api/", "options": {"strip_prefix": True}}
    async with EchoUpstream("one") as one:
        await go_live(live, service_id, one)
        created = await client.post(f"/api/v1/services/{service_id}/routes", json=body)
        assert created.status_code == 201, created.text
        route = created.json()
        https = live.state.settings.proxy.https_port
        assert (route["hostname"], route["state"], route["tls"]) == ("shop.internal", "live", "internal")
        assert route["url"] == f"https://shop.internal:{https}/api"
        answer = await visit("shop.internal", "/api/x?y=1")
        assert (answer.json()["name"], answer.json()["target"]) == ("one", "/x?y=1")
        downloaded = await client.get("/api/v1/proxy/ca")
        assert downloaded.headers["content-type"] == "application/x-pem-file"
        root = downloaded.text
        assert (await visit("web-shop.localhost", "/", roots=root)).json()["name"] == "one"
        assert (await visit("other.internal")).status_code == 404
        assert (await client.get(f"/api/v1/routes/{route['id']}")).json() == route
        assert (await client.delete(f"/api/v1/routes/{route['id']}")).status_code == 204
        assert (await visit("shop.internal", "/api/x")).status_code == 404
        assert (await client.get(f"/api/v1/routes/{route['id']}")).status_code == 404
    async with live.state.resources.db.read() as session:
        kinds = (await session.scalars(select(Event.type).where(Event.object_type == "route"))).all()
    assert kinds == ["RouteCreated", "RouteCreated", "RouteDeleted"]


async def test_passwords_maintenance_and_redirects(client, live, service_id, visit) -> None:
    async with EchoUpstream("one") as one:
        await go_live(live, service_id, one)
        options = {"basic_auth": [{"username": "ada", "password": "CANARY-basic"}]}
        path = f"/api/v1/services/{service_id}/routes"
        created = await client.post(path, json={"hostname": "shop.internal", "options": options})
        assert created.json()["options"]["basic_auth"] == ["ada"]
        assert "CANARY" not in created.text
        assert (await visit("shop.internal")).status_code == 401
        assert (await visit("shop.internal", auth=("ada", "CANARY-basic"))).status_code == 200
        url = f"/api/v1/routes/{created.json()['id']}"
        patch = {"options": {"maintenance": True, "basic_auth": []}}
        assert (await client.patch(url, json=patch)).status_code == 200
        closed = await visit("shop.internal")
        assert closed.status_code == 503
        assert "retry-after" in closed.headers
        patch = {"redirect_to": "https://www.shop.internal/", "options": {"maintenance": False}}
        assert (await client.patch(url, json=patch)).json()["redirect_to"] == "https://www.shop.internal"
        moved = await visit("shop.internal", "/a?b=c")
        assert (moved.status_code, moved.headers["location"]) == (308, "https://www.shop.internal/a?b=c")
        assert one.requests == 1


async def test_a_service_without_targets_shows_its_name(client, live, service_id, visit) -> None:
    await apply_routes(live.state.resources)
    down = await visit("web-shop.localhost")
    assert down.status_code == 503
    assert "Web" in down.text


async def test_hostile_names_are_refused_before_anything_is_saved(client, live, service_id) -> None:
    for hostname in META:
        answer = await client.post(f"/api/v1/services/{service_id}/routes", json={"hostname": hostname})
        assert answer.status_code == 422, hostname
        assert answer.headers["content-type"] == "application/problem+json"
    assert len((await client.get(f"/api/v1/services/{service_id}/routes")).json()["items"]) == 1


async def test_what_breaks_a_rule_is_refused_with_its_field(client, live, service_id) -> None:
    for body in AGAINST_A_RULE:
        answer = await client.post(f"/api/v1/services/{service_id}/routes", json=body)
        assert answer.status_code == 422, body
        assert answer.json()["fields"]
    assert len((await client.get(f"/api/v1/services/{service_id}/routes")).json()["items"]) == 1


async def test_taken_and_reserved_names_conflict(client, live, service_id) -> None:
    path = f"/api/v1/services/{service_id}/routes"
    assert (await client.post(path, json={"hostname": "a.example.org", "tls": "off"})).status_code == 201
    for hostname in ("A.example.org.", "a.example.org:80", "localhost", "LOCALHOST.:443"):
        answer = await client.post(path, json={"hostname": hostname})
        assert answer.status_code == 409, hostname
        assert answer.json()["hint"]


async def test_certificates_of_one_s_own(client, live, service_id, visit) -> None:
    root = issue()
    leaf = issue("own.internal", issuer=root)
    body = {"name": "mine", "certificate": leaf.certificate + root.certificate, "private_key": leaf.key}
    uploaded = await client.post("/api/v1/certificates", json=body)
    assert uploaded.status_code == 201, uploaded.text
    assert "PRIVATE" not in uploaded.text
    certificate_id = uploaded.json()["id"]
    async with EchoUpstream("one") as one:
        await go_live(live, service_id, one)
        given = {"hostname": "own.internal", "certificate_id": certificate_id}
        route = (await client.post(f"/api/v1/services/{service_id}/routes", json=given)).json()
        assert (route["tls"], route["state"]) == ("custom", "live")
        assert (await visit("own.internal", roots=root.certificate)).json()["name"] == "one"
        assert (await visit("own.internal")).status_code == 308
    taken = await client.delete(f"/api/v1/certificates/{certificate_id}")
    assert taken.status_code == 409
    assert "own.internal" in taken.json()["detail"]
    assert (await client.patch(f"/api/v1/routes/{route['id']}", json={"tls": "internal"})).status_code == 200
    assert (await client.delete(f"/api/v1/certificates/{certificate_id}")).status_code == 204
    listed = (await client.get("/api/v1/certificates")).json()
    assert listed == {"items": [], "next_cursor": None, "managed": []}


async def test_an_uploaded_key_is_never_told(client, live) -> None:
    body = {"name": "x", "certificate": "CANARY-cert", "private_key": "CANARY-key"}
    answer = await client.post("/api/v1/certificates", json=body)
    assert answer.status_code == 422
    assert "CANARY" not in answer.text
    too_long = await client.post("/api/v1/certificates", json=body | {"private_key": "CANARY-key" * 10_000})
    assert too_long.status_code == 422
    assert "CANARY" not in too_long.text


async def test_a_public_name_waits_for_its_preflight(client, live, service_id, visit) -> None:
    resources = live.state.resources
    created = await client.post(f"/api/v1/services/{service_id}/routes", json={"hostname": "shop.example.org"})
    assert (created.json()["tls"], created.json()["acme_ready_at"]) == ("acme", None)

    async def elsewhere(_hostname: str) -> list[str]:
        return []

    await check_names(resources, resolve=elsewhere)
    url = f"/api/v1/routes/{created.json()['id']}"
    assert "has no address in the DNS" in (await client.get(url)).json()["problem"]
    async with EchoUpstream("one") as one:
        await go_live(live, service_id, one)
        assert (await visit("shop.example.org")).json()["name"] == "one", "served without a certificate meanwhile"
        checked = (await client.post(f"{url}/check")).json()
        assert checked["ok"] is False
        assert checked["findings"][0]["name"] == "dns"
        assert one.requests == 1, "the marker is answered by the proxy itself"


async def test_the_preflight_recognises_the_real_proxy(client, live, service_id, visit) -> None:
    resources = live.state.resources
    created = await client.post(f"/api/v1/services/{service_id}/routes", json={"hostname": "shop.example.org"})

    async def here(_hostname: str) -> list[str]:
        return ["127.0.0.1"]

    await check_names(resources, resolve=here)
    async with resources.db.read() as session:
        route = await session.get_one(Route, created.json()["id"])
    assert route.acme_ready_at is not None
    assert route.problem == ""
    assert (await visit("shop.example.org")).status_code == 503, "no redirect before the certificate is there"


async def test_local_names_can_be_checked_by_hand(client, live, service_id) -> None:
    await apply_routes(live.state.resources)
    (route,) = (await client.get(f"/api/v1/services/{service_id}/routes")).json()["items"]
    checked = (await client.post(f"/api/v1/routes/{route['id']}/check")).json()
    assert checked["ok"] is True
    assert [each["name"] for each in checked["findings"]] == ["dns", "reachable", "certificate"]


async def test_fifty_edits_at_once_end_in_one_truth(client, live, service_id, visit) -> None:
    path = f"/api/v1/services/{service_id}/routes"
    bodies = [{"hostname": f"h{number}.internal", "tls": "off"} for number in range(50)]
    async with EchoUpstream("one") as one:
        await go_live(live, service_id, one)
        answers = await asyncio.gather(*(client.post(path, json=body) for body in bodies))
        assert {answer.status_code for answer in answers} == {201}
        assert {answer.json()["state"] for answer in answers} == {"live"}
        for number in (0, 17, 49):
            assert (await visit(f"h{number}.internal")).status_code == 200
    proxy = await live.state.resources.systems.proxy("local")
    state = await proxy.inspect()
    assert len(state.config.routes) == 51
    assert not state.drifted


async def test_a_killed_proxy_comes_back_with_everything(client, live, service_id, visit) -> None:
    resources = live.state.resources
    proxy = await resources.systems.proxy("local")
    async with EchoUpstream("one") as one:
        await go_live(live, service_id, one)
        assert (await client.get("/api/v1/proxy")).json()["state"] == "running"
        await proxy.stop()
        assert (await client.get("/api/v1/proxy")).json()["state"] == "stopped"
        await check_drift(resources)
        state = (await client.get("/api/v1/proxy")).json()
        assert (state["state"], state["drifted"], state["version"][:2]) == ("running", False, "2.")
        assert (await visit("web-shop.localhost")).json()["name"] == "one"


async def test_what_a_broken_route_served_stays_until_it_is_tried_again(client, live, service_id, visit) -> None:
    resources = live.state.resources
    async with EchoUpstream("one") as one:
        await go_live(live, service_id, one)
        async with resources.db.write() as session:
            route = (await session.scalars(select(Route))).one()
            route.state, route.refusals, route.refused_at = "broken", 1, now()
            route.options = {**route.options, "timeout": 30.0}
        for _ in range(2):
            await check_drift(resources)
            assert (await visit("web-shop.localhost")).json()["name"] == "one"
        assert (await (await resources.systems.proxy("local")).inspect()).config.routes[0].timeout is None
        (told,) = (await client.get(f"/api/v1/services/{service_id}/routes")).json()["items"]
        assert (told["state"], told["condition"], told["next_try_at"] is None) == ("broken", "broken", False)
        assert (await client.post(f"/api/v1/routes/{told['id']}/check?retry=true")).status_code == 200
        assert (await (await resources.systems.proxy("local")).inspect()).config.routes[0].timeout == 30
        assert (await client.get(f"/api/v1/routes/{told['id']}")).json()["state"] == "live"


async def test_a_taken_port_is_told_with_its_holder(client, live, service_id) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    thief = await asyncio.start_server(hang_up, "127.0.0.1", live.state.settings.proxy.http_port)
    try:
        answer = await client.post(f"/api/v1/services/{service_id}/routes", json={"hostname": "a.internal"})
        assert answer.status_code == 201
        assert answer.json()["state"] == "pending"
        assert str(live.state.settings.proxy.http_port) in answer.json()["problem"]
    finally:
        thief.close()
    await check_drift(live.state.resources)
    route = (await client.get(f"/api/v1/routes/{answer.json()['id']}")).json()
    assert (route["state"], route["problem"]) == ("live", "")


async def test_unknown_ids_answer_alike(client, live) -> None:
    unknown = "01a1fc35-ac52-7f11-8218-ce2473022760"
    for method, path in (("GET", "routes"), ("PATCH", "routes"), ("DELETE", "routes"), ("DELETE", "certificates")):
        answer = await client.request(method, f"/api/v1/{path}/{unknown}", json={} if method == "PATCH" else None)
        assert answer.status_code == 404
    assert (await client.post(f"/api/v1/routes/{unknown}/check")).status_code == 404
    assert (await client.get(f"/api/v1/services/{unknown}/routes")).status_code == 404
