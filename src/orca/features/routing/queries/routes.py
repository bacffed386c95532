"""Reads of routes, and the query that renders all of them into the proxy's configuration."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, cast

import structlog
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.db.filters import narrow
from orca.db.pages import read_page
from orca.errors import NotFound, OrcaError
from orca.features.routing.models import Certificate, OrderedCertificate, Route, Target
from orca.features.routing.queries.certificates import CERTIFICATE_KEY, ORDERED
from orca.features.routing.rules.conditions import Condition
from orca.features.routing.rules.hostnames import is_wildcard, overlap
from orca.features.routing.rules.refusals import MOST_RETRIED, next_try_at, what_stays
from orca.features.routing.schemas import (
    RouteOptions,
    TargetIn,
    condition_of,
    redirects_to_https,
    urls_of,
)
from orca.features.secrets.queries import open_secret
from orca.features.services.models import Service
from orca.features.services.queries import select_scope
from orca.features.services.schemas import Port
from orca.kit.crypto import SecretBox
from orca.kit.pagination import Page, PageRequest
from orca.sdk.proxies import (
    BasicAuthUser,
    Hsts,
    ProxyCertificate,
    ProxyConfig,
    ProxyRoute,
    TlsMode,
    Upstream,
)
from orca.settings import Settings
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

log = structlog.get_logger("orca.routing")

_FIRST_PAGE = PageRequest()
MARKER_SUFFIX = "_marker"
"""Suffix of the proxy's id of a marker: the small route by which a preflight recognises this proxy."""
_MIB = 1 << 20


async def get_route(session: AsyncSession, scope: Scope, route_id: str) -> Route:
    """Return a route of the scope's team."""
    row = await session.get(Route, route_id)
    if row is None or row.team_id != scope.team_id:
        raise NotFound("there is no route with this id")
    return row


async def find_route_scope(session: AsyncSession, route_id: str) -> ObjectScope | None:
    """Return where a route belongs: where its service does."""
    query = select_scope().join(Route, Route.service_id == Service.id).where(Route.id == route_id)
    return await find_scope(session, query)


async def list_routes(
    session: AsyncSession, scope: Scope, service_id: str, wanted: PageRequest = _FIRST_PAGE
) -> Page[Route]:
    """List the routes of a service, newest first."""
    query = select(Route).where(Route.team_id == scope.team_id, Route.service_id == service_id)
    return await read_page(session, narrow(query, Route, wanted), Route.id, wanted)


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
    return [each.url for each in await list_addresses(session, settings, service_id)]


async def list_addresses(session: AsyncSession, settings: Settings, service_id: str) -> list[Address]:
    """Return the addresses of a service: custom names first, then the automatic one; unserved ones last."""
    return (await _list_addresses(session, settings, [service_id]))[service_id]


async def list_urls_by_service(
    session: AsyncSession, settings: Settings, service_ids: Collection[str]
) -> dict[str, list[str]]:
    """Return `list_urls` of many services with one query; every requested service has an entry."""
    found = await _list_addresses(session, settings, service_ids)
    return {service_id: [each.url for each in addresses] for service_id, addresses in found.items()}


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
    """Return routes that could also match a request for this hostname: the same name, or an overlapping wildcard."""
    parent = hostname.partition(".")[2]
    near = [Route.hostname == hostname, Route.hostname == f"*.{parent}"]
    if is_wildcard(hostname):
        near.append(Route.hostname.endswith(f".{parent}", autoescape=True))
    rows = await session.scalars(select(Route).where(or_(*near), Route.id != (besides or "")))
    return [route for route in rows if overlap(route.hostname, hostname)]


async def count_routes(session: AsyncSession, service_id: str) -> int:
    """Return the number of routes of a service."""
    return await session.scalar(select(func.count()).select_from(Route).where(Route.service_id == service_id)) or 0


def _served_by(system_id: str) -> ColumnElement[bool]:
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
    query = select(Route.id).join(Service, Service.id == Route.service_id).where(_served_by(system_id))
    rows = await session.scalars(query.where(Route.state == "pending", Service.deleted_at.is_(None)))
    return set(rows.all())


async def has_broken(session: AsyncSession, system_id: str) -> bool:
    """Whether the proxy of a system refused any route."""
    query = select(Route.id).join(Service, Service.id == Route.service_id).where(_served_by(system_id))
    return await session.scalar(query.where(Route.state == "broken").limit(1)) is not None


async def list_retried(session: AsyncSession, system_id: str) -> list[str]:
    """Return the ids of a system's broken routes whose pause is over, longest waiting first; at most `MOST_RETRIED`."""
    query = select(Route.id, Route.refusals, Route.refused_at).join(Service, Service.id == Route.service_id)
    broken = query.where(Route.state == "broken", _served_by(system_id))
    rows = (await session.execute(broken.order_by(Route.refused_at.nulls_first(), Route.id))).all()
    due = (row.id for row in rows if (next_try_at(row.refusals, row.refused_at) or now()) <= now())
    return list(islice(due, MOST_RETRIED))


async def list_stale_names(session: AsyncSession, settings: Settings) -> Sequence[Route]:
    """Return automatic routes that are not under the current base domain."""
    suffix = f".{settings.base.domain.lower().strip('.')}"
    query = select(Route).where(Route.is_automatic, ~Route.hostname.endswith(suffix, autoescape=True))
    return (await session.scalars(query.order_by(Route.id))).all()


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """The data that rendering a route needs besides its row."""

    service_name: str
    ports: Sequence[Port]
    targets: Sequence[Target]
    """Empty for a service that is stopped."""
    ordered_id: str | None = None
    """Id of the valid certificate that an authority issued for the hostname."""


async def render_proxy_config(
    session: AsyncSession,
    box: SecretBox,
    system_id: str,
    served: ProxyConfig | None = None,
    retried: Collection[str] = (),
) -> ProxyConfig:
    """Return the desired configuration of the proxy of a system.

    A broken route is rendered only as the proxy serves it already (`served`), so that it does not block the others,
    unless its id is in `retried`.
    """
    earlier = {route.id: route for route in served.routes} if served is not None else {}
    routes: list[ProxyRoute] = []
    kept: list[ProxyRoute] = []
    async for route, facts in _list_with_facts(session, system_id):
        if route.state != "broken" or route.id in retried:
            routes += render_routes(route, facts, box)
        elif route.id in earlier:
            wanted = render_routes(route, facts, box)[0]
            stays = what_stays(earlier[route.id], wanted, {target.address for target in facts.targets})
            kept += [stays] if stays is not None else []
    routes += kept  # last, so that a conflict is blamed on them and not on the others
    used = {route.certificate_id for route in routes if route.certificate_id is not None}
    return ProxyConfig(tuple(routes), await _open_certificates(session, box, used))


async def _list_with_facts(session: AsyncSession, system_id: str) -> AsyncIterator[tuple[Route, RouteFacts]]:
    targets = await _targets_by_service(session)
    rows = await session.execute(
        select(Route, Service.name, Service.ports, Service.desired_state)
        .join(Service, Service.id == Route.service_id)
        .where(Service.deleted_at.is_(None), _served_by(system_id))
        .order_by(Route.hostname, Route.path_prefix)
    )
    valid = OrderedCertificate.not_after > now()
    columns = OrderedCertificate.team_id, OrderedCertificate.hostname, OrderedCertificate.id
    found = await session.execute(select(*columns).where(valid))
    ordered = {(row.team_id, row.hostname): row.id for row in found}
    for route, name, ports, desired_state in rows:
        live = targets[route.service_id] if desired_state == "running" else []
        ordered_id = ordered.get((route.team_id, route.hostname)) if route.tls == "acme" else None
        yield route, RouteFacts(name, [Port.model_validate(port) for port in ports], live, ordered_id)


def render_routes(route: Route, facts: RouteFacts, box: SecretBox) -> list[ProxyRoute]:
    """Return the proxy's form of a route and, while it waits for a certificate, its marker.

    Until then the internal CA's certificate is used, and HTTP is not redirected to HTTPS, where browsers would warn.
    """
    options = RouteOptions.model_validate(route.options)
    is_waiting = route.tls == "acme" and facts.ordered_id is None
    tls = "internal" if is_waiting else "custom" if route.tls == "acme" else route.tls
    rendered = ProxyRoute(
        id=route.id,
        hostname=route.hostname,
        path_prefix=route.path_prefix,
        upstreams=() if route.redirect_to else tuple(_upstreams(route, facts)),
        strip_prefix=options.strip_prefix,
        redirect_to=route.redirect_to,
        redirect_status=options.redirect_status,
        tls=cast("TlsMode", tls),
        certificate_id=facts.ordered_id or route.certificate_id,
        https_redirect=redirects_to_https(route, options) and not is_waiting,
        compress=options.compress,
        max_body_bytes=options.max_body_mb * _MIB if options.max_body_mb else None,
        timeout=options.timeout,
        basic_auth=tuple(BasicAuthUser(user.username, user.password_hash) for user in options.basic_auth),
        allow_ips=tuple(options.allow_ips),
        maintenance=options.maintenance,
        protocol=options.protocol,
        hsts=None if is_waiting else _hsts(options),
        title=facts.service_name,
    )
    return [rendered, _render_marker(rendered, box)] if is_waiting else [rendered]


def _hsts(options: RouteOptions) -> Hsts | None:
    if options.hsts_max_age is None:
        return None
    return Hsts(options.hsts_max_age, options.hsts_subdomains, options.hsts_preload)


def marker_path(route_id: str) -> str:
    """Return the marker's path: below the path that certificate authorities request, to detect if that is blocked."""
    return f"/.well-known/acme-challenge/orca-{route_id}"


def marker_target(box: SecretBox, hostname: str) -> str:
    """Return the target of the marker's redirect, a signed value that only this instance knows; it is not followed."""
    return f"https://orca.invalid/{box.sign(f'marker:{hostname}')}"


def _render_marker(route: ProxyRoute, box: SecretBox) -> ProxyRoute:
    return replace(
        ProxyRoute(id=route.id + MARKER_SUFFIX, hostname=route.hostname),
        path_prefix=marker_path(route.id), redirect_to=marker_target(box, route.hostname), redirect_status=307,
        tls=route.tls, certificate_id=route.certificate_id, https_redirect=False,
    )  # fmt: skip


def _upstreams(route: Route, facts: RouteFacts) -> Iterable[Upstream]:
    for target in facts.targets:
        port = route.port or _first_port([Port.model_validate(port) for port in target.ports] or facts.ports)
        if port is not None:
            yield Upstream(target.address, port)


def _first_port(ports: Sequence[Port]) -> int | None:
    public = [port for port in ports if port.public] or list(ports)
    return public[0].port if public else None


async def _targets_by_service(session: AsyncSession) -> Mapping[str, list[Target]]:
    found: dict[str, list[Target]] = defaultdict(list)
    for target in await session.scalars(select(Target).order_by(Target.service_id, Target.replica)):
        found[target.service_id].append(target)
    return found


async def _open_certificates(
    session: AsyncSession, box: SecretBox, wanted: Collection[str]
) -> tuple[ProxyCertificate, ...]:
    """Return certificates with their keys. One whose key cannot be decrypted is left out: only its routes fail."""
    opened: list[ProxyCertificate] = []
    rows: list[tuple[str, Certificate | OrderedCertificate]] = []
    uploaded = select(Certificate).where(Certificate.id.in_(wanted)).order_by(Certificate.id)
    rows += [("certificate", row) for row in await session.scalars(uploaded)]
    ordered = select(OrderedCertificate).where(OrderedCertificate.id.in_(wanted)).order_by(OrderedCertificate.id)
    rows += [(ORDERED, row) for row in await session.scalars(ordered)]
    for owner, row in rows:
        try:
            key = await open_secret(session, box, (owner, row.id), CERTIFICATE_KEY)
        except OrcaError as error:
            log.error("certificate_key_unreadable", certificate=row.id, reason=error.message)  # noqa: TRY400 - the cause is known
            continue
        if key is not None:
            opened.append(ProxyCertificate(row.id, row.chain, key))
    return tuple(opened)
