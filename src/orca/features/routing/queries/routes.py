"""Reads of routes."""

from collections.abc import Collection, Sequence
from itertools import islice
from typing import NamedTuple

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import all_teams, now
from orca.db.pages import read_page
from orca.errors import NotFound
from orca.features.routing.models import Route, Target
from orca.features.routing.rules.conditions import Condition
from orca.features.routing.rules.hostnames import is_wildcard, overlap
from orca.features.routing.rules.refusals import MOST_RETRIED, next_try_at
from orca.features.routing.schemas.routes import (
    RouteOptions,
    TargetIn,
    condition_of,
    urls_of,
)
from orca.features.services.models import Service
from orca.features.services.queries import select_scope
from orca.kit.pagination import Page, PageRequest
from orca.settings import Settings
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

_FIRST_PAGE = PageRequest()


async def get_route(session: AsyncSession, scope: Scope, route_id: str) -> Route:
    """Return a route of the scope's team."""
    row = await session.get(Route, route_id)
    if row is None or row.team_id != scope.team_id:
        raise NotFound("there is no route with this id")
    return row


def has_own_hostname(scope: Scope) -> ColumnElement[bool]:
    """Whether the team has a hostname that a person chose."""
    return exists().where(Route.team_id == scope.team_id, Route.is_automatic.is_(False))


async def find_route_scope(session: AsyncSession, route_id: str) -> ObjectScope | None:
    """Return where a route belongs: where its service does."""
    query = select_scope().join(Route, Route.service_id == Service.id).where(Route.id == route_id)
    return await find_scope(session, query)


async def list_routes(
    session: AsyncSession, scope: Scope, service_id: str, wanted: PageRequest = _FIRST_PAGE
) -> Page[Route]:
    """List the routes of a service, newest first."""
    query = select(Route).where(Route.team_id == scope.team_id, Route.service_id == service_id)
    return await read_page(session, query, Route, wanted)


class RouteState(NamedTuple):
    """A route and whether the proxy serves it."""

    hostname: str
    state: str


async def list_route_states(session: AsyncSession, service_id: str) -> dict[str, RouteState]:
    """Return the routes of a service by id, with whether the proxy serves them."""
    rows = await session.execute(select(Route.id, Route.hostname, Route.state).where(Route.service_id == service_id))
    return {route_id: RouteState(hostname, state) for route_id, hostname, state in rows}


async def list_targets(session: AsyncSession, service_id: str) -> list[TargetIn]:
    """Return where the live release of a service listens now."""
    rows = await session.scalars(select(Target).where(Target.service_id == service_id).order_by(Target.replica))
    return [TargetIn(replica=row.replica, address=row.address, ports=row.ports, system=row.system_id) for row in rows]


class Address(NamedTuple):
    """Where a service can be opened, and what a visitor finds there."""

    url: str
    condition: Condition


async def list_urls(session: AsyncSession, settings: Settings, service_id: str) -> list[str]:
    """Return the URLs of a service, the best one first."""
    return [address.url for address in await list_addresses(session, settings, service_id)]


async def list_addresses(session: AsyncSession, settings: Settings, service_id: str) -> list[Address]:
    """Return the addresses of a service: custom names first, then the automatic one; unserved ones last."""
    return (await _list_addresses(session, settings, [service_id]))[service_id]


async def list_urls_by_service(
    session: AsyncSession, settings: Settings, service_ids: Collection[str]
) -> dict[str, list[str]]:
    """Return `list_urls` of many services with one query; every requested service has an entry."""
    found = await _list_addresses(session, settings, service_ids)
    return {service_id: [address.url for address in addresses] for service_id, addresses in found.items()}


async def _list_addresses(
    session: AsyncSession, settings: Settings, service_ids: Collection[str]
) -> dict[str, list[Address]]:
    query = select(Route).where(Route.service_id.in_(service_ids), Route.state != "broken", Route.redirect_to.is_(None))
    routes = (await session.scalars(query.order_by(Route.is_automatic, Route.id))).all()
    found: dict[str, list[Address]] = {service_id: [] for service_id in service_ids}
    for route in sorted(routes, key=lambda route: condition_of(route) not in {"live", "pending"}):
        if not is_wildcard(route.hostname):
            url = urls_of(route, RouteOptions(**route.options), settings.proxy)[0]
            found[route.service_id].append(Address(url, condition_of(route)))
    return found


async def list_siblings(session: AsyncSession, hostname: str, *, besides: str | None = None) -> Sequence[Route]:
    """Return the routes of one hostname, which share its certificate."""
    query = select(Route).where(Route.hostname == hostname, Route.id != (besides or ""))
    return (await session.scalars(query.order_by(Route.id))).all()


async def list_overlapping(session: AsyncSession, hostname: str, *, besides: str | None = None) -> list[Route]:
    """Return routes of all teams that could also match a request for this hostname: its own, or by a wildcard."""
    parent = hostname.partition(".")[2]
    near = [Route.hostname == hostname, Route.hostname == f"*.{parent}"]
    if is_wildcard(hostname):
        near.append(Route.hostname.endswith(f".{parent}", autoescape=True))
    with all_teams(session):
        rows = await session.scalars(select(Route).where(or_(*near), Route.id != (besides or "")))
    return [route for route in rows if overlap(route.hostname, hostname)]


async def count_routes(session: AsyncSession, service_id: str) -> int:
    """Return the number of routes of a service."""
    return await session.scalar(select(func.count()).select_from(Route).where(Route.service_id == service_id)) or 0


def served_by(system_id: str) -> ColumnElement[bool]:
    """Select the services whose routes the proxy of a system serves.

    It is where their containers are: a service that is to move is served by the earlier system until it has moved.
    """
    targets = select(Target.id).where(Target.service_id == Service.id)
    is_there = targets.where(Target.system_id == system_id).exists()
    return is_there | (~targets.exists() & (Service.system_id == system_id))


async def find_system_of_route(session: AsyncSession, route: Route) -> str:
    """Return the system whose proxy serves a route."""
    target = await session.scalar(select(Target.system_id).where(Target.service_id == route.service_id).limit(1))
    return target or (await session.get_one(Service, route.service_id)).system_id


async def find_systems(session: AsyncSession, *routes: ColumnElement[bool]) -> Sequence[str]:
    """Return the systems whose proxies serve the routes that match, or are to serve them."""
    found = (await session.scalars(select(Route).where(*routes))).all()
    return sorted({await find_system_of_route(session, route) for route in found})


async def list_pending(session: AsyncSession, system_id: str) -> set[str]:
    """Return the ids of routes that were not applied to the proxy of a system yet."""
    query = select(Route.id).join(Service, Service.id == Route.service_id).where(served_by(system_id))
    rows = await session.scalars(query.where(Route.state == "pending", Service.deleted_at.is_(None)))
    return set(rows.all())


async def has_broken(session: AsyncSession, system_id: str) -> bool:
    """Whether the proxy of a system refused any route."""
    query = select(Route.id).join(Service, Service.id == Route.service_id).where(served_by(system_id))
    return await session.scalar(query.where(Route.state == "broken").limit(1)) is not None


async def list_retried(session: AsyncSession, system_id: str) -> list[str]:
    """Return the ids of a system's broken routes whose pause is over, longest waiting first; at most `MOST_RETRIED`."""
    query = select(Route.id, Route.refusals, Route.refused_at).join(Service, Service.id == Route.service_id)
    broken = query.where(Route.state == "broken", served_by(system_id))
    rows = (await session.execute(broken.order_by(Route.refused_at.nulls_first(), Route.id))).all()
    due = (row.id for row in rows if (next_try_at(row.refusals, row.refused_at) or now()) <= now())
    return list(islice(due, MOST_RETRIED))


async def list_stale_names(session: AsyncSession, settings: Settings) -> Sequence[Route]:
    """Return automatic routes that are not under the current base domain."""
    suffix = f".{settings.base.domain.lower().strip('.')}"
    query = select(Route).where(Route.is_automatic, ~Route.hostname.endswith(suffix, autoescape=True))
    return (await session.scalars(query.order_by(Route.id))).all()
