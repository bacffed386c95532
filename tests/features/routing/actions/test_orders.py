"""Orders that came, failed, or could not be renewed: what is written down, and what the proxy is told."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from tests.features.routing.bench import SCOPE

from orca.db import now
from orca.events import Event
from orca.features.routing.actions import apply_routes, check_route, create_route, watch_expiry, watch_orders
from orca.features.routing.models import Route
from orca.features.routing.schemas import RouteIn
from orca.sdk.proxies import CertificateFailure, CertificateState, TlsMode

HOSTNAME = "shop.example.org"


@pytest.fixture
async def _ordered(resources, service) -> None:
    """A name whose certificate was ordered a minute ago, under two paths."""
    async with resources.db.write() as session:
        for path in ("/", "/api"):
            wanted = RouteIn(hostname=HOSTNAME, path_prefix=path)
            route = await create_route(session, resources.settings, service, wanted, {})
            route.acme_ready_at = now() - timedelta(minutes=1)
    await apply_routes(resources)


async def read(resources) -> list[Route]:
    async with resources.db.read() as session:
        return list((await session.scalars(select(Route).order_by(Route.path_prefix))).all())


def fail(proxy, reason: str = "no route to host") -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    proxy.failures = [CertificateFailure(HOSTNAME, reason, at, 1)]


def hold(proxy, left: timedelta, tls: TlsMode = "acme") -> datetime:
    until = (now() + left).replace(microsecond=0)
    proxy.issued = [CertificateState(HOSTNAME, "CA", until.isoformat(), tls)]
    return until


def modes(proxy) -> set[str]:
    return {route.tls for route in proxy.served.routes}


pytestmark = pytest.mark.usefixtures("_ordered")


async def test_a_name_that_failed_is_left_out_for_a_growing_while(resources, proxy) -> None:
    for failures, minutes in ((1, 15), (2, 30)):
        fail(proxy)
        await watch_orders(resources)
        for route in await read(resources):
            assert (route.acme_ready_at, route.order_failures) == (None, failures)
            assert timedelta(minutes=minutes - 1) < route.acme_check_at - now() <= timedelta(minutes=minutes)
            assert route.problem.endswith("no route to host")
        assert modes(proxy) == {"internal"}
        async with resources.db.write() as session:
            for route in (await session.scalars(select(Route))).all():
                route.acme_ready_at, route.acme_check_at = now() - timedelta(seconds=5), None
        await apply_routes(resources)
        assert modes(proxy) == {"acme"}
    async with resources.db.read() as session:
        events = (await session.scalars(select(Event).where(Event.type == "CertificateRefused"))).all()
    assert [event.payload["failures"] for event in events] == [1, 2]


async def test_one_that_came_forgets_the_failures(resources, proxy) -> None:
    async with resources.db.write() as session:
        for route in (await session.scalars(select(Route))).all():
            route.order_failures = 3
    until = hold(proxy, timedelta(days=90))
    await watch_orders(resources)
    assert {(r.certificate_until, r.order_failures, r.problem) for r in await read(resources)} == {(until, 0, "")}
    assert modes(proxy) == {"acme"}


async def test_a_certificate_that_counts_is_kept_while_its_renewal_fails(resources, proxy) -> None:
    until = hold(proxy, timedelta(days=9))
    fail(proxy, "rate limited")
    await watch_orders(resources)
    problem = "The certificate cannot be renewed: rate limited"
    assert {(r.certificate_until, r.problem) for r in await read(resources)} == {(until, problem)}
    assert modes(proxy) == {"acme"}

    async def resolve(_hostname: str) -> list[str]:
        return []

    route = (await read(resources))[0]
    assert [each.hint for each in await check_route(resources, SCOPE, route.id, resolve=resolve)][-1] == problem
    proxy.failures, until = [], hold(proxy, timedelta(days=90))
    await watch_orders(resources)
    assert {(r.certificate_until, r.problem) for r in await read(resources)} == {(until, "")}


async def test_what_the_internal_ca_signed_is_not_what_was_ordered(resources, proxy) -> None:
    """The proxy may serve it on: the order was written down, but the proxy was not there to hear of it."""
    async with resources.db.write() as session:
        for route in (await session.scalars(select(Route))).all():
            route.order_failures = 3
    hold(proxy, timedelta(hours=12), "internal")
    await watch_orders(resources)
    await watch_expiry(resources)
    assert {(r.certificate_until, r.order_failures) for r in await read(resources)} == {(None, 3)}

    async def resolve(_hostname: str) -> list[str]:
        return []

    route = (await read(resources))[0]
    found = await check_route(resources, SCOPE, route.id, resolve=resolve)
    assert found[-1].detail == "ordered, but not issued yet"


async def test_an_old_failure_does_not_end_a_new_order(resources, proxy) -> None:
    at = (datetime.now(UTC) - timedelta(minutes=2)).isoformat(timespec="seconds")
    proxy.failures = [CertificateFailure(HOSTNAME, "earlier", at, 1)]
    applied = len(proxy.applied)
    await watch_orders(resources)
    assert modes(proxy) == {"acme"}
    assert len(proxy.applied) == applied


async def test_a_silent_proxy_changes_nothing(resources, proxy) -> None:
    fail(proxy)
    proxy.down = True
    await watch_orders(resources)
    assert all(route.acme_ready_at for route in await read(resources))


async def test_another_path_waits_with_its_hostname(resources, proxy, service) -> None:
    """A new path must not be a way around the pause."""
    fail(proxy)
    await watch_orders(resources)
    async with resources.db.write() as session:
        wanted = RouteIn(hostname=HOSTNAME, path_prefix="/new")
        route = await create_route(session, resources.settings, service, wanted, {})
    assert (route.acme_ready_at, route.order_failures) == (None, 1)
    assert route.acme_check_at > now() + timedelta(minutes=10)
