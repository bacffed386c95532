"""Reads of routes and certificates, and the one that turns all of them into what the proxy should do."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, cast

import structlog
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import NotFound, OrcaError
from orca.features.routing.models import Certificate, OrderedCertificate, Route, Target
from orca.features.routing.rules.conditions import Condition
from orca.features.routing.rules.hostnames import is_wildcard, overlap
from orca.features.routing.rules.refusals import MOST_RETRIED, next_try_at, what_stays
from orca.features.routing.schemas import RouteOptions, TargetIn, condition_of, redirects_to_https, urls_of
from orca.features.secrets.queries import open_secret
from orca.features.services.models import Service
from orca.features.services.schemas import Port
from orca.kit.crypto import SecretBox
from orca.kit.pagination import Page, cut_page
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
from orca.web.guard import Scope, tenant_resolver

log = structlog.get_logger("orca.routing")

CERTIFICATE_KEY = "key"
ORDERED = "ordered_certificate"
"""Owner type of the keys of ordered certificates."""
_NAMES_AT_ONCE = 500
MARKER_SUFFIX = "_marker"
"""Ends the proxy's id of the little route by which a preflight recognises this very proxy."""
_MIB = 1 << 20


async def get_route(session: AsyncSession, scope: Scope, route_id: str) -> Route:
    """A route of the scope's team."""
    row = await session.get(Route, route_id)
    if row is None or row.team_id != scope.team_id:
        raise NotFound("there is no route with this id")
    return row


@tenant_resolver("route_id")
async def find_route_team(session: AsyncSession, route_id: str) -> str | None:
    """Whose route it is."""
    return await session.scalar(select(Route.team_id).where(Route.id == route_id))


async def list_routes(
    session: AsyncSession, scope: Scope, service_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Route]:
    """Newest first."""
    query = select(Route).where(Route.team_id == scope.team_id, Route.service_id == service_id)
    if cursor is not None:
        query = query.where(Route.id < cursor)
    rows = (await session.scalars(query.order_by(Route.id.desc()).limit(limit + 1))).all()
    items, next_cursor = cut_page(list(rows), limit)
    return Page[Route].model_construct(items=items, next_cursor=next_cursor)


class RouteState(NamedTuple):
    """A route and whether the proxy serves it."""

    hostname: str
    state: str


async def list_route_states(session: AsyncSession, service_id: str) -> dict[str, RouteState]:
    """The routes of a service, by id."""
    rows = await session.execute(select(Route.id, Route.hostname, Route.state).where(Route.service_id == service_id))
    return {route_id: RouteState(hostname, state) for route_id, hostname, state in rows}


async def list_targets(session: AsyncSession, service_id: str) -> list[TargetIn]:
    """Where the live release of a service listens now."""
    rows = await session.scalars(select(Target).where(Target.service_id == service_id).order_by(Target.replica))
    return [TargetIn(replica=row.replica, address=row.address, ports=row.ports) for row in rows]


class Address(NamedTuple):
    """Where a service can be opened, and what a visitor finds there."""

    url: str
    condition: Condition


async def list_urls(session: AsyncSession, settings: Settings, service_id: str) -> list[str]:
    """Where a service can be opened: the best one first."""
    return [each.url for each in await list_addresses(session, settings, service_id)]


async def list_addresses(session: AsyncSession, settings: Settings, service_id: str) -> list[Address]:
    """Names that people chose first, then the automatic one; last, in the same order, those that lead nowhere yet."""
    return (await _list_addresses(session, settings, [service_id]))[service_id]


async def list_urls_by_service(
    session: AsyncSession, settings: Settings, service_ids: Collection[str]
) -> dict[str, list[str]]:
    """`list_urls` of many services in one query; every asked service has an entry."""
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
    """The routes of one hostname, which share its certificate."""
    query = select(Route).where(Route.hostname == hostname, Route.id != (besides or ""))
    return (await session.scalars(query.order_by(Route.id))).all()


async def list_overlapping(session: AsyncSession, hostname: str, *, besides: str | None = None) -> list[Route]:
    """Routes to which a request for this hostname could belong as well: the same name, or a wildcard over it."""
    parent = hostname.partition(".")[2]
    near = [Route.hostname == hostname, Route.hostname == f"*.{parent}"]
    if is_wildcard(hostname):
        near.append(Route.hostname.endswith(f".{parent}", autoescape=True))
    rows = await session.scalars(select(Route).where(or_(*near), Route.id != (besides or "")))
    return [route for route in rows if overlap(route.hostname, hostname)]


async def count_routes(session: AsyncSession, service_id: str) -> int:
    """How many routes a service has."""
    return await session.scalar(select(func.count()).select_from(Route).where(Route.service_id == service_id)) or 0


async def list_pending(session: AsyncSession) -> set[str]:
    """Ids of the routes that the proxy does not know yet."""
    query = select(Route.id).join(Service, Service.id == Route.service_id)
    rows = await session.scalars(query.where(Route.state == "pending", Service.deleted_at.is_(None)))
    return set(rows.all())


async def has_broken(session: AsyncSession) -> bool:
    """Whether the proxy refused any route."""
    return await session.scalar(select(Route.id).where(Route.state == "broken").limit(1)) is not None


async def list_retried(session: AsyncSession) -> list[str]:
    """Ids of the broken routes whose pause is over, those first that wait longest; a few at a time."""
    query = select(Route.id, Route.refusals, Route.refused_at).where(Route.state == "broken")
    rows = (await session.execute(query.order_by(Route.refused_at.nulls_first(), Route.id))).all()
    due = (row.id for row in rows if (next_try_at(row.refusals, row.refused_at) or now()) <= now())
    return list(islice(due, MOST_RETRIED))


async def list_stale_names(session: AsyncSession, settings: Settings) -> Sequence[Route]:
    """Automatic routes that are not under the base domain of today."""
    suffix = f".{settings.base.domain.lower().strip('.')}"
    query = select(Route).where(Route.is_automatic, ~Route.hostname.endswith(suffix, autoescape=True))
    return (await session.scalars(query.order_by(Route.id))).all()


async def get_certificate(session: AsyncSession, scope: Scope, certificate_id: str) -> Certificate:
    """An uploaded certificate of the scope's team."""
    row = await session.get(Certificate, certificate_id)
    if row is None or row.team_id != scope.team_id:
        raise NotFound("there is no certificate with this id")
    return row


@tenant_resolver("certificate_id")
async def find_certificate_team(session: AsyncSession, certificate_id: str) -> str | None:
    """Whose certificate it is."""
    return await session.scalar(select(Certificate.team_id).where(Certificate.id == certificate_id))


async def list_certificates(
    session: AsyncSession, scope: Scope, *, limit: int = 50, cursor: str | None = None
) -> Page[Certificate]:
    """Uploaded certificates, newest first."""
    query = select(Certificate).where(Certificate.team_id == scope.team_id)
    if cursor is not None:
        query = query.where(Certificate.id < cursor)
    rows = (await session.scalars(query.order_by(Certificate.id.desc()).limit(limit + 1))).all()
    items, next_cursor = cut_page(list(rows), limit)
    return Page[Certificate].model_construct(items=items, next_cursor=next_cursor)


async def list_acme_hostnames(session: AsyncSession, scope: Scope) -> set[str]:
    """The names of a team for which certificates are ordered."""
    query = select(Route.hostname).where(Route.team_id == scope.team_id, Route.tls == "acme")
    return set((await session.scalars(query)).all())


async def list_ordered(session: AsyncSession, hostnames: Collection[str]) -> list[OrderedCertificate]:
    """What authorities issued for these hostnames, in no order."""
    names = sorted(hostnames)
    found: list[OrderedCertificate] = []
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = names[start : start + _NAMES_AT_ONCE]
        query = select(OrderedCertificate).where(OrderedCertificate.hostname.in_(some))
        found += (await session.scalars(query)).all()
    return found


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """What rendering one route needs besides the route."""

    service_name: str
    ports: Sequence[Port]
    targets: Sequence[Target]
    """Empty for a service that is stopped."""
    ordered_id: str | None = None
    """The certificate that an authority issued for the hostname, while it is valid."""


async def render_proxy_config(
    session: AsyncSession,
    box: SecretBox,
    served: ProxyConfig | None = None,
    retried: Collection[str] = (),
) -> ProxyConfig:
    """Everything the proxy should do now. Of broken routes, so that they cannot hold up the others, only what it
    serves of them already (`served`), unless they are to be tried again (`retried`, ids).
    """
    earlier = {route.id: route for route in served.routes} if served is not None else {}
    routes: list[ProxyRoute] = []
    kept: list[ProxyRoute] = []
    async for route, facts in _list_with_facts(session):
        if route.state != "broken" or route.id in retried:
            routes += render_routes(route, facts, box)
        elif route.id in earlier:
            wanted = render_routes(route, facts, box)[0]
            stays = what_stays(earlier[route.id], wanted, {target.address for target in facts.targets})
            kept += [stays] if stays is not None else []
    routes += kept  # last, so that none of the others is blamed for what does not go together with them
    used = {route.certificate_id for route in routes if route.certificate_id is not None}
    return ProxyConfig(tuple(routes), await _open_certificates(session, box, used))


async def _list_with_facts(session: AsyncSession) -> AsyncIterator[tuple[Route, RouteFacts]]:
    targets = await _targets_by_service(session)
    rows = await session.execute(
        select(Route, Service.name, Service.ports, Service.desired_state)
        .join(Service, Service.id == Route.service_id)
        .where(Service.deleted_at.is_(None))
        .order_by(Route.hostname, Route.path_prefix)
    )
    valid = OrderedCertificate.not_after > now()
    found = await session.execute(select(OrderedCertificate.hostname, OrderedCertificate.id).where(valid))
    ordered = {row.hostname: row.id for row in found}
    for route, name, ports, desired_state in rows:
        live = targets[route.service_id] if desired_state == "running" else []
        ordered_id = ordered.get(route.hostname) if route.tls == "acme" else None
        yield route, RouteFacts(name, [Port.model_validate(port) for port in ports], live, ordered_id)


def render_routes(route: Route, facts: RouteFacts, box: SecretBox) -> list[ProxyRoute]:
    """A route as the proxy understands it and, until there is a certificate for it, its marker.

    Until then the internal one stands in, and nothing is redirected to what a browser warns of.
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
    """Where the marker answers: beneath the path that a certificate authority asks, so that a block there is seen."""
    return f"/.well-known/acme-challenge/orca-{route_id}"


def marker_target(box: SecretBox, hostname: str) -> str:
    """What the marker answers (as a redirect that nobody follows): only this instance can know it."""
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
    """With their keys. One whose key cannot be opened is left out: only the routes that use it suffer."""
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
