"""Preflight: checks that a name can be reached from outside before a certificate is ordered for it.

This avoids orders that the authority would refuse.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import structlog
from sqlalchemy import or_, select, update

from orca.db import now
from orca.features.routing.models import Certificate, Route
from orca.features.routing.operations.apply import apply_routes
from orca.features.routing.operations.orders import order_again
from orca.features.routing.queries import (
    credential_for,
    find_system_of_route,
    get_route,
    list_ordered,
    list_zone_credentials,
)
from orca.features.routing.rendering import marker_path, marker_target
from orca.features.routing.rules.certificates import is_expiring, next_check_delay
from orca.features.routing.rules.hostnames import is_wildcard
from orca.features.routing.rules.paths import HTTP_PORT
from orca.features.routing.rules.reach import judge_addresses
from orca.features.routing.rules.refusals import next_try_at
from orca.resources import Resources
from orca.web.guard import Scope

log = structlog.get_logger("orca.routing")
RESOLVE_SECONDS = 5.0
ANSWER_SECONDS = 5.0
_ANSWER_LIMIT = 16_384
_AT_ONCE = 20
Resolve = Callable[[str], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class ReachCheck:
    """The result of one check, and the next step when it failed."""

    name: Literal["proxy", "dns", "reachable", "certificate", "provider"]
    ok: bool
    detail: str
    hint: str = ""


async def resolve_host(hostname: str) -> list[str]:
    """Return the addresses that this machine resolves a name to; may be empty. Raises TimeoutError."""
    if hostname == "localhost" or hostname.endswith(".localhost"):
        return ["127.0.0.1"]  # RFC 6761; the C library does not know it without systemd
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def check_route(
    resources: Resources, scope: Scope, route_id: str, *, retry: bool = False, resolve: Resolve = resolve_host
) -> list[ReachCheck]:
    """Check everything between a visitor and this route, and order a waiting certificate when that is possible now.

    After a failed order, only when its pause is over or with `retry`; that also retries a route that the proxy refused.
    """
    route = await _read(resources, scope, route_id)
    if route.state == "broken" and retry:
        async with resources.db.read() as session:
            systems = [await find_system_of_route(session, route)]
        await apply_routes(resources, [route_id], systems=systems)
        route = await _read(resources, scope, route_id)
    if route.state == "broken":
        return [_tell_refusal(route)]
    findings = await _check_name(resources, route, resolve)
    if all(finding.ok for finding in findings) and _is_waiting(route) and (retry or not _is_paused(route)):
        await _note_names(resources, {route.hostname: findings})
    if retry:
        await order_again(resources, route.hostname)
    route = await _read(resources, scope, route_id)
    return [*findings, *await _check_certificate(resources, route)]


async def _read(resources: Resources, scope: Scope, route_id: str) -> Route:
    async with resources.db.read() as session:
        return await get_route(session, scope, route_id)


def _tell_refusal(route: Route) -> ReachCheck:
    """Return the finding for a refused route; other checks are pointless while the proxy does not serve it."""
    again = next_try_at(route.refusals, route.refused_at)
    when = f"at {again:%Y-%m-%d %H:%M:%S} UTC" if again is not None and again > now() else "within half a minute"
    hint = f"It is tried again {when}; `orc domains retry` tries it now."
    return ReachCheck("proxy", False, f"the proxy refused it: {route.problem}", hint)


async def check_names(resources: Resources, *, resolve: Resolve = resolve_host) -> None:
    """Check names that wait for a certificate and are due; those that are reachable become ready to be ordered."""
    async with resources.db.read() as session:
        due = select(Route).where(
            Route.tls == "acme", Route.acme_ready_at.is_(None), Route.state == "live",
            or_(Route.acme_check_at.is_(None), Route.acme_check_at <= now()),
        )  # fmt: skip
        routes = (await session.scalars(due.order_by(Route.id).limit(_AT_ONCE))).all()
        credentials = await list_zone_credentials(session, *(route.team_id for route in routes)) if routes else []
    by_name = {route.hostname: route for route in routes}

    async def look(route: Route) -> list[ReachCheck]:
        if credential_for(route.hostname, route.team_id, credentials) is not None:
            return []  # proven by DNS alone: need not lead here
        return await _check_name(resources, route, resolve)

    found = await asyncio.gather(*map(look, by_name.values()))
    if by_name:
        await _note_names(resources, dict(zip(by_name, found, strict=True)))


async def _check_name(resources: Resources, route: Route, resolve: Resolve) -> list[ReachCheck]:
    hostname = f"orca-check{route.hostname[1:]}" if is_wildcard(route.hostname) else route.hostname
    async with resources.db.read() as session:
        system_id = await find_system_of_route(session, route)
    own = await resources.systems.list_addresses(system_id)
    try:
        addresses = await resolve(hostname)
    except TimeoutError:
        hint = "Look whether this machine's own DNS works: `getent hosts example.org`."
        return [ReachCheck("dns", False, f"the DNS did not answer within {RESOLVE_SECONDS:g} s for {hostname}", hint)]
    refusal = judge_addresses(route.hostname, addresses, own)
    if refusal is not None:
        return [ReachCheck("dns", False, refusal.detail, refusal.hint)]
    answers = await asyncio.gather(*(_ask(resources, system_id, route, address, own) for address in addresses))
    failed = next((answer for answer in answers if not answer.ok), answers[0])
    return [ReachCheck("dns", True, f"{hostname} is {', '.join(addresses)}"), failed]


async def _ask(resources: Resources, system_id: str, route: Route, address: str, own: Sequence[str]) -> ReachCheck:
    """Check whether the address leads to this proxy, by a request for our own marker; its answer is never shown."""
    # Port 80 may be forwarded to the proxy's port by a router, which applies to addresses outside this machine only.
    port = resources.settings.proxy.http_port if address in own else HTTP_PORT
    place = f"{address} port {port}"
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await _request(resources, system_id, address, port, route)
    except OSError as error:
        reason = "does not answer" if isinstance(error, TimeoutError) else f"refuses connections ({error.strerror})"
        hint = "Open TCP ports 80 and 443 in the firewall of this machine and of its provider, and forward them here."
        return ReachCheck("reachable", False, f"{place} {reason}", hint)
    if _is_waiting(route) and marker_target(resources.secret_box, route.hostname) not in answer:
        hint = (
            f"Point {route.hostname} to this machine, or let what answers there pass /.well-known/acme-challenge/ on."
        )
        return ReachCheck("reachable", False, f"{place} answers, but it is not this proxy", hint)
    return ReachCheck("reachable", True, f"{place} leads here" if _is_waiting(route) else f"{place} answers")


async def _request(resources: Resources, system_id: str, address: str, port: int, route: Route) -> str:
    """Return the head of the response for the marker; for routes without one, only connect and return an empty text."""
    reader, writer = await resources.systems.open_connection(system_id, address, port, limit=_ANSWER_LIMIT)
    try:
        if not _is_waiting(route):
            return ""
        head = f"GET {marker_path(route.id)} HTTP/1.1\r\nHost: {route.hostname}\r\nUser-Agent: Orca\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return ""
    finally:
        writer.close()


def _is_waiting(route: Route) -> bool:
    return route.tls == "acme" and route.acme_ready_at is None


def _is_paused(route: Route) -> bool:
    return route.order_failures > 0 and route.acme_check_at is not None and route.acme_check_at > now()


async def _note_names(resources: Resources, found: dict[str, list[ReachCheck]]) -> None:
    """Store for each name that it is ready to be ordered, or the problem and when to check again."""
    async with resources.db.write() as session:
        for hostname, findings in found.items():
            bad = next((finding for finding in findings if not finding.ok), None)
            waiting = Route.hostname == hostname, Route.tls == "acme", Route.acme_ready_at.is_(None)
            if bad is None:
                values = {"acme_ready_at": now(), "acme_failures": 0, "acme_check_at": None, "problem": ""}
                await session.execute(update(Route).where(*waiting).values(**values))
                continue
            for route in (await session.scalars(select(Route).where(*waiting))).all():
                route.acme_failures += 1
                route.acme_check_at = now() + next_check_delay(route.acme_failures)
                route.problem = f"No public certificate yet: {bad.detail}. {bad.hint}"


async def _check_certificate(resources: Resources, route: Route) -> list[ReachCheck]:
    match route.tls:
        case "off":
            return []
        case "internal":
            hint = "To be trusted without a warning, install the root certificate from /api/v1/proxy/ca."
            return [ReachCheck("certificate", True, "signed by Orca's internal CA", hint)]
        case "custom":
            async with resources.db.read() as session:
                row = await session.get_one(Certificate, route.certificate_id)
            return [_judge_expiry(row.issuer, row.not_after)]
        case _:
            return [await _check_ordered(resources, route)]


async def _check_ordered(resources: Resources, route: Route) -> ReachCheck:
    if _is_paused(route) and not _is_held(route):
        hint = f"It is ordered again at {route.acme_check_at:%Y-%m-%d %H:%M} UTC; `orc domains retry` orders it now."
        return ReachCheck("certificate", False, route.problem, hint)
    if _is_waiting(route):
        return ReachCheck("certificate", False, "not ordered yet", "It is ordered as soon as the name leads here.")
    if not _is_held(route):
        return ReachCheck("certificate", False, "ordered, but not issued yet", "This takes seconds, rarely minutes.")
    async with resources.db.read() as session:
        held = await list_ordered(session, route.team_id, [route.hostname])
    finding = _judge_expiry(held[0].issuer, held[0].not_after) if held else ReachCheck("certificate", False, "is lost")
    return replace(finding, hint=route.problem or finding.hint)


def _is_held(route: Route) -> bool:
    return route.certificate_until is not None and route.certificate_until > now()


def _judge_expiry(issuer: str, not_after: datetime) -> ReachCheck:
    left = not_after - now()
    detail = f"issued by {issuer}, valid until {not_after:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta(0):
        return ReachCheck("certificate", False, f"{detail}: it has expired", "Upload a new one, or use TLS “acme”.")
    hint = "Renew it soon." if is_expiring(not_after, now()) else ""
    return ReachCheck("certificate", True, detail, hint)
