"""The preflight: nothing is ordered before the name leads to this very proxy, and patience survives a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from tests.conftest import free_port
from tests.features.routing.bench import SCOPE, issue

from orca.features.routing import rendering
from orca.features.routing.actions import add_certificate, create_route
from orca.features.routing.models import Certificate, Route
from orca.features.routing.operations import apply_routes, check_names, check_route
from orca.features.routing.operations.reach import resolve_host
from orca.features.routing.schemas.certificates import CertificateIn
from orca.features.routing.schemas.routes import RouteIn


def answers(*addresses: str) -> Callable[[str], Awaitable[list[str]]]:
    """A resolver with one answer for everything."""

    async def resolve(_hostname: str) -> list[str]:
        return list(addresses)

    return resolve


@asynccontextmanager
async def listening(port: int, answer: Callable[[str], str] | None):
    """Something on a port that answers each request head with what `answer` makes of it; None never answers."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if answer is None:
                await asyncio.sleep(60)
            else:
                writer.write(answer(heads[-1]).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield heads
    finally:
        server.close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def resources(make_resources, port: int):
    return make_resources(proxy={"http_port": port})


async def store(resources, service, **given) -> Route:
    async with resources.db.write() as session:
        row = await create_route(session, resources.settings, service, RouteIn(**given), {})
    await apply_routes(resources)
    return row


async def read(resources, route: Route) -> Route:
    async with resources.db.read() as session:
        return await session.get_one(Route, route.id)


def marker(resources) -> Callable[[str], str]:
    """Answers like our own proxy would."""
    location = rendering.marker_target(resources.secret_box, "shop.example.org")
    return lambda _head: f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}/.well-known\r\n\r\n"


async def test_a_name_that_leads_here_gets_its_certificate(resources, proxy, service, port: int) -> None:
    route = await store(resources, service, hostname="shop.example.org")
    api = await store(resources, service, hostname="shop.example.org", path_prefix="/api")
    assert {each.tls for each in proxy.served.routes} == {"internal"}
    async with listening(port, marker(resources)) as heads:
        await check_names(resources, resolve=answers("127.0.0.1"))
    (head,) = heads
    assert head.split(" ")[1] in {rendering.marker_path(route.id), rendering.marker_path(api.id)}
    assert "\r\nHost: shop.example.org\r\n" in head
    ready = await read(resources, route)
    assert ready.acme_ready_at is not None
    assert ready.problem == ""


@pytest.mark.parametrize(
    ("resolve", "reason"),
    [
        (answers(), "has no address in the DNS"),
        (answers("169.254.169.254"), "169.254.169.254, which is not an address of this machine"),
        (answers("127.0.0.1"), "refuses connections"),
    ],
)
async def test_a_name_that_does_not_is_told_why_and_left_in_peace(resources, proxy, service, resolve, reason) -> None:
    route = await store(resources, service, hostname="shop.example.org")
    await check_names(resources, resolve=resolve)
    first = await read(resources, route)
    assert (first.state, first.acme_ready_at, first.acme_failures) == ("live", None, 1)
    assert first.problem.startswith("No public certificate yet: ")
    assert reason in first.problem
    assert first.acme_check_at is not None
    assert timedelta(seconds=50) < first.acme_check_at - datetime.now(UTC) <= timedelta(minutes=1)
    await check_names(resources, resolve=resolve)
    assert (await read(resources, route)).acme_failures == 1, "not due yet"
    assert {each.tls for each in proxy.served.routes} == {"internal"}


@pytest.mark.parametrize(
    "answer",
    [
        lambda head: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        lambda head: "HTTP/1.1 307 x\r\nLocation: https://orca.invalid/forged\r\n\r\n",
        lambda head: "HTTP/1.1 200 OK\r\nX: " + "a" * 100_000,
        lambda head: "",
    ],
)
async def test_somebody_else_s_server_is_recognised(resources, service, port: int, answer) -> None:
    route = await store(resources, service, hostname="shop.example.org")
    async with listening(port, answer):
        found = await check_route(resources, SCOPE, route.id, resolve=answers("127.0.0.1"))
    assert [(each.name, each.ok) for each in found] == [("dns", True), ("reachable", False), ("certificate", False)]
    assert found[1].detail.endswith("answers, but it is not this proxy")
    assert (await read(resources, route)).acme_ready_at is None


async def test_every_address_must_lead_here(resources, service, port: int) -> None:
    route = await store(resources, service, hostname="shop.example.org")
    async with listening(port, marker(resources)):
        found = await check_route(resources, SCOPE, route.id, resolve=answers("127.0.0.1", "::1"))
    assert not found[1].ok
    assert "::1" in found[1].detail


@pytest.mark.slow
async def test_the_silent_are_given_up(resources, service, port: int) -> None:
    route = await store(resources, service, hostname="shop.example.org")
    async with listening(port, None):
        found = await asyncio.wait_for(check_route(resources, SCOPE, route.id, resolve=answers("127.0.0.1")), 9)
    assert found[1].detail.endswith("does not answer")
    assert "firewall" in found[1].hint


async def test_a_dns_that_hangs_is_told(resources, service) -> None:
    async def resolve(_hostname: str) -> list[str]:
        raise TimeoutError

    route = await store(resources, service, hostname="shop.example.org")
    found = await check_route(resources, SCOPE, route.id, resolve=resolve)
    assert found[0].detail.startswith("the DNS did not answer")


async def test_a_check_by_hand_orders_at_once(resources, proxy, service, port: int) -> None:
    route = await store(resources, service, hostname="shop.example.org")
    async with listening(port, marker(resources)):
        found = await check_route(resources, SCOPE, route.id, resolve=answers("127.0.0.1"))
        assert [(each.name, each.ok) for each in found] == [("dns", True), ("reachable", True), ("certificate", False)]
        assert found[2].detail == "ordered, but not issued yet"
        assert (await read(resources, route)).acme_ready_at is not None


async def test_other_kinds_of_tls_are_checked_too(resources, service, port: int) -> None:
    issued = issue("b.example.org")
    async with resources.db.write() as session:
        given = CertificateIn(name="x", certificate=issued.certificate, private_key=issued.key)
        certificate = await add_certificate(session, resources, SCOPE, given)
    internal = await store(resources, service, hostname="*.a.internal")
    own = await store(resources, service, hostname="b.example.org", certificate_id=certificate.id)
    plain = await store(resources, service, hostname="c.internal", tls="off")
    asked: list[str] = []

    async def resolve(hostname: str) -> list[str]:
        asked.append(hostname)
        return ["127.0.0.1"]

    async with listening(port, marker(resources)) as heads:
        assert all(each.ok for each in await check_route(resources, SCOPE, internal.id, resolve=resolve))
        async with resources.db.write() as session:
            (await session.get_one(Certificate, certificate.id)).not_after = datetime.now(UTC)
        found = await check_route(resources, SCOPE, own.id, resolve=resolve)
        assert [each.name for each in await check_route(resources, SCOPE, plain.id, resolve=resolve)] == [
            "dns",
            "reachable",
        ]
    assert asked[0] == "orca-check.a.internal"
    assert not found[2].ok
    assert "has expired" in found[2].detail
    assert heads == [], "nothing is asked of routes without a marker"


async def test_a_wildcard_is_told_which_record_it_needs(resources, service) -> None:
    route = await store(resources, service, hostname="*.apps.example.org")
    found = await check_route(resources, SCOPE, route.id, resolve=answers())
    assert (found[0].ok, found[0].detail) == (False, "*.apps.example.org has no address in the DNS")
    assert "record (and AAAA, if it has IPv6) for *.apps.example.org that points" in found[0].hint


async def test_local_names_resolve_without_help_and_unknown_ones_to_nothing() -> None:
    assert await resolve_host("web-shop.localhost") == ["127.0.0.1"]
    assert await resolve_host("does-not-exist.invalid") == []
    assert await resolve_host("192.0.2.1") == ["192.0.2.1"]
