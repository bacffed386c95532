"""Renders the routes of the database into the configuration of a proxy."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import OrcaError
from orca.features.routing.models import Certificate, OrderedCertificate, Route, Target
from orca.features.routing.queries.certificates import CERTIFICATE_KEY, ORDERED
from orca.features.routing.queries.routes import served_by
from orca.features.routing.rules.refusals import what_stays
from orca.features.routing.schemas.routes import RouteOptions, redirects_to_https
from orca.features.secrets.queries import open_secret
from orca.features.services.models import Service
from orca.features.services.schemas.settings import Port
from orca.kit.crypto import SecretBox
from orca.sdk.proxies import BasicAuthUser, Hsts, ProxyCertificate, ProxyConfig, ProxyRoute, TlsMode, Upstream

log = structlog.get_logger("orca.routing")
MARKER_SUFFIX = "_marker"
"""Suffix of the proxy's id of a marker: the small route by which a preflight recognises this proxy."""
_MIB = 1 << 20


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
        .where(Service.deleted_at.is_(None), served_by(system_id))
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
