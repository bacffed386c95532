"""Orders of certificates: what came is written down, and what failed is left alone for a growing while."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import ProviderError
from orca.events import Fact, record
from orca.features.routing.actions.apply import apply_routes
from orca.features.routing.events import names_of
from orca.features.routing.models import Route
from orca.features.routing.rules.orders import Order, judge_order, next_order_delay
from orca.resources import Resources
from orca.sdk.proxies import CertificateFailure, CertificateState, Proxy, SupportsCertificateFailures

log = structlog.get_logger("orca.routing")
_ORDERED = Route.tls == "acme", Route.acme_ready_at.is_not(None), Route.state == "live"


async def watch_orders(resources: Resources) -> None:
    """See what became of the orders. A name whose order failed is served by the internal CA until it is tried again,
    so that no reload makes the proxy bother the authority; the pause is in the database and survives restarts.
    """
    async with resources.db.read() as session:
        rows = (
            await session.execute(select(Route.hostname, Route.certificate_until, Route.problem).where(*_ORDERED))
        ).all()
    if not rows:
        return
    try:
        failures = await _read_failures(resources.proxy)
        unsettled = {name for name, until, problem in rows if until is None or problem or name in failures}
        ends = await read_ends(resources.proxy) if unsettled else {}
    except ProviderError as error:
        log.warning("orders_not_checked", reason=error.message)
        return
    if unsettled and await _note(resources, unsettled, failures, ends):
        await apply_routes(resources)


async def list_ordered(proxy: Proxy) -> list[CertificateState]:
    """The certificates that came. A name that the proxy does not order for yet has one of the internal CA."""
    return [each for each in await proxy.certificates() if each.tls == "acme"]


async def read_ends(proxy: Proxy) -> dict[str, datetime]:
    """When each of them ends, by hostname."""
    return {each.hostname: datetime.fromisoformat(each.not_after) for each in await list_ordered(proxy)}


async def _read_failures(proxy: Proxy) -> dict[str, CertificateFailure]:
    if not isinstance(proxy, SupportsCertificateFailures):
        return {}
    return {each.hostname: each for each in await proxy.certificate_failures()}


async def _note(
    resources: Resources, unsettled: set[str], failures: Mapping[str, CertificateFailure], ends: Mapping[str, datetime]
) -> bool:
    """Write it down; True when a name is to be left alone from now on."""
    has_given_up = False
    async with resources.db.write() as session:
        for hostname in sorted(unsettled):
            query = select(Route).where(*_ORDERED, Route.hostname == hostname).order_by(Route.id)
            routes = (await session.scalars(query)).all()
            if not routes or routes[0].acme_ready_at is None:
                continue
            failure, until = failures.get(hostname), ends.get(hostname)
            failed_at = datetime.fromisoformat(failure.at) if failure else None
            outcome = judge_order(Order(routes[0].acme_ready_at, failed_at, until), now())
            if outcome == "held":
                _set(routes, certificate_until=until, order_failures=0, problem="")
            elif outcome == "renewal failed" and failure:
                problem = f"The certificate cannot be renewed: {failure.reason}"
                _set(routes, certificate_until=until, problem=problem)
            elif outcome == "failed" and failure:
                await _give_up(session, routes, failure.reason)
                has_given_up = True
    return has_given_up


async def _give_up(session: AsyncSession, routes: Sequence[Route], reason: str) -> None:
    """For now."""
    count = routes[0].order_failures + 1
    again = now() + next_order_delay(count)
    problem = f"No public certificate yet: the authority refused it. {reason}"
    _set(routes, acme_ready_at=None, acme_check_at=again, order_failures=count, certificate_until=None, problem=problem)
    route = routes[0]
    payload = await names_of(session, route) | {
        "reason": reason, "failures": count, "next_try_at": again.isoformat(),
    }  # fmt: skip
    await record(session, Fact("CertificateRefused", route.team_id, "route", route.id, payload, outcome="failed"))


def _set(routes: Sequence[Route], **values: object) -> None:
    for route in routes:
        for name, value in values.items():
            setattr(route, name, value)
