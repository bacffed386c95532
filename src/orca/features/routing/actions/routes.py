"""The rows of routes: the owner of a name, its certificate, and the automatic name of every public service."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import structlog
from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput, Conflict
from orca.events import Fact, origin, record
from orca.features.projects.models import Project
from orca.features.routing import queries
from orca.features.routing.actions.certificates import forget_ordered
from orca.features.routing.actions.held_names import check_above, find_other_holder, hold_name
from orca.features.routing.events import names_of
from orca.features.routing.models import Certificate, Route, Target
from orca.features.routing.rules.certificates import certifies, default_tls
from orca.features.routing.rules.hostnames import (
    MAX_HOSTNAME,
    automatic_hostname,
    is_public,
    is_reserved,
    is_wildcard,
    panel_hostnames,
    parse_hostname,
)
from orca.features.routing.rules.paths import is_loop
from orca.features.routing.schemas.routes import RouteIn, RouteOptions, RoutePatch, merge_options
from orca.features.services.models import Service
from orca.instance.tombstones import bury
from orca.resources import Resources
from orca.settings import Settings

log = structlog.get_logger("orca.routing")
_NAMES_LOCK = 0x0ACD
_PRELOADED_AGE = 31_536_000
"""Minimum `max-age` that the HSTS preload lists of browsers require, in seconds."""
_NEW_NAME: Mapping[str, Any] = {
    "acme_ready_at": None, "acme_failures": 0, "acme_check_at": None, "order_failures": 0, "certificate_until": None,
}  # fmt: skip
ACME_PROGRESS = tuple(_NEW_NAME)
"""Columns with the state of a hostname's certificate order, the same for all its paths."""
_UNTRIED: Mapping[str, Any] = {"state": "pending", "problem": "", "refusals": 0, "refused_at": None}
REFUSAL = tuple(_UNTRIED)
"""Columns with the proxy's last result for a route."""


async def create_route(
    session: AsyncSession, settings: Settings, service: Service, wanted: RouteIn, hashes: Mapping[str, str]
) -> Route:
    """Store a new route, before it is applied to the proxy. `hashes`: bcrypt hash of each basic-auth user's password.

    Raises Conflict (reserved, or taken by any team), Forbidden (above the names of all projects) and BadInput
    (certificate, redirect, users).
    """
    check_above(settings, wanted.hostname)
    route = Route(
        team_id=service.team_id, service_id=service.id, hostname=wanted.hostname, path_prefix=wanted.path_prefix,
        port=wanted.port, redirect_to=wanted.redirect_to, options=_options({}, wanted, hashes), **_NEW_NAME,
    )  # fmt: skip
    siblings = await _claim(session, settings, route, takes=True)
    await hold_name(session, settings, route.hostname, service)
    route.tls, route.certificate_id = _tls_among(siblings, wanted, has_dns=await _has_dns(session, route))
    await _check(session, settings, route)
    _set(route, _progress(route, siblings))
    session.add(route)
    await session.flush()
    await record(session, await _fact("RouteCreated", session, route))
    return route


async def update_route(
    session: AsyncSession, settings: Settings, route: Route, patch: RoutePatch, hashes: Mapping[str, str]
) -> list[Route]:
    """Change a route; returns every changed row, since the other paths of its hostname share its TLS setting.

    Raises Conflict and BadInput like `create_route`.
    """
    given = patch.model_fields_set
    moves = patch.hostname is not None and patch.hostname != route.hostname
    if moves:
        check_above(settings, str(patch.hostname))
    route.hostname = patch.hostname or route.hostname
    route.path_prefix = patch.path_prefix or route.path_prefix
    route.port = patch.port if "port" in given else route.port
    route.redirect_to = patch.redirect_to if "redirect_to" in given else route.redirect_to
    if patch.options is not None:
        route.options = _options(route.options, patch, hashes)
    with session.no_autoflush:
        takes = moves or "path_prefix" in given or _asked_tls(patch) is not None
        siblings = await _claim(session, settings, route, takes=takes)
        await hold_name(session, settings, route.hostname, await session.get_one(Service, route.service_id))
        before = route.tls, route.certificate_id
        has_dns = await _has_dns(session, route)
        route.tls, route.certificate_id = _tls_after(route, siblings, patch, moves=moves, has_dns=has_dns)
        await _check(session, settings, route)
    if moves:
        route.is_automatic = False
    if moves or before != (route.tls, route.certificate_id):
        _set(route, _progress(route, siblings))
    changed = [route, *_share_tls(route, siblings)]
    instant = now()
    for other in changed:
        _set(other, {**_UNTRIED, "updated_at": instant, "revision": other.revision + 1})
    await session.flush()
    await record(session, await _fact("RouteUpdated", session, route, changed=sorted(given)))
    return changed


async def delete_route(session: AsyncSession, route: Route) -> None:
    """Delete a route."""
    await bury(session, "route", [route.id])
    await session.delete(route)
    await session.flush()
    await record(session, await _fact("RouteDeleted", session, route))


async def ensure_automatic_route(session: AsyncSession, resources: Resources, service: Service) -> Route | None:
    """Create an automatic route under the base domain, unless the service has a route. Needs a public port."""
    if await queries.count_routes(session, service.id):
        return None
    hostname = await _free_automatic_name(session, resources.settings, service)
    if hostname is None:
        return None
    await hold_name(session, resources.settings, hostname, service)
    route = Route(
        team_id=service.team_id, service_id=service.id, hostname=hostname, tls=default_tls(hostname),
        options=RouteOptions().model_dump(), is_automatic=True, path_prefix="/", **_NEW_NAME,
    )  # fmt: skip
    session.add(route)
    await session.flush()
    await record(session, await _fact("RouteCreated", session, route))
    return route


async def ensure_named_routes(
    session: AsyncSession, settings: Settings, service: Service, hostnames: Iterable[str]
) -> list[str]:
    """Create routes for hostnames in the service's `orca.yaml` that it does not have yet; returns the new hostnames.

    Raises BadInput and Conflict like `create_route`. Routes of names that were removed from the file stay.
    """
    own = set((await session.scalars(select(Route.hostname).where(Route.service_id == service.id))).all())
    missing = []
    for given in hostnames:
        try:
            hostname = parse_hostname(given)
        except ValueError as error:
            raise _bad("domains", f"{given}: {error}") from None
        if hostname not in own:
            origin.get().check_may("route.create", f"The new hostname {hostname}")
            await create_route(session, settings, service, RouteIn(hostname=hostname), {})
            missing.append(hostname)
    return missing


async def follow_base_domain(session: AsyncSession, settings: Settings) -> int:
    """Move automatic names to the current base domain; returns how many moved."""
    moved = 0
    for route in await queries.list_stale_names(session, settings):
        service = await session.get_one(Service, route.service_id)
        hostname = await _free_automatic_name(session, settings, service)
        if hostname is None:
            continue
        await hold_name(session, settings, hostname, service)
        values = {"hostname": hostname, "tls": default_tls(hostname), "certificate_id": None}
        _set(route, {**values, **_NEW_NAME, **_UNTRIED, "updated_at": now(), "revision": route.revision + 1})
        await session.flush()
        await record(session, await _fact("RouteUpdated", session, route, changed=["hostname"]))
        moved += 1
    return moved


async def forget_service(session: AsyncSession, service_id: str) -> None:
    """Delete the routes and targets of a deleted service."""
    ids = (await session.scalars(select(Route.id).where(Route.service_id == service_id))).all()
    await bury(session, "route", ids)
    await session.execute(delete(Route).where(Route.service_id == service_id))
    await session.execute(delete(Target).where(Target.service_id == service_id))


async def _lock_names(session: AsyncSession) -> None:
    """Serialise decisions about names: no constraint can express wildcards. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _NAMES_LOCK})


async def _claim(session: AsyncSession, settings: Settings, route: Route, *, takes: bool) -> list[Route]:
    """Check that the team may have the name, and return the other routes of the hostname.

    `takes`: the route gets another name, path or TLS setting than it had, which its neighbours notice. Deletes
    certificates that another team ordered while it had the name.
    """
    panel = panel_hostnames(settings.panel_url, settings.allowed.hosts)
    if is_reserved(route.hostname, panel, settings.base.domain):
        raise Conflict(
            f"{route.hostname} is reserved for Orca itself",
            hint="Choose a name that is not the panel's, nor a wildcard over the panel or all automatic names.",
        )
    await _lock_names(session)
    near = await queries.list_overlapping(session, route.hostname, besides=route.id)
    is_foreign = any(other.team_id != route.team_id for other in near)
    if is_foreign or (takes and not await _may_share(session, route, near)):
        raise Conflict(f"{route.hostname} is already in use on this server", hint="Choose another name.")
    await forget_ordered(session, route.hostname, keeping=route.team_id)
    siblings = [other for other in near if other.hostname == route.hostname]
    for other in siblings:
        if other.path_prefix.casefold() == route.path_prefix.casefold():
            hint = "Change that route, or choose another path prefix."
            raise Conflict(f"{route.hostname}{route.path_prefix} already is a route of this team", hint=hint)
    return siblings


async def _may_share(session: AsyncSession, route: Route, near: Collection[Route]) -> bool:
    """Whether a route may have the name beside these: with a role on a part of the team, within one environment only.

    A path takes visitors away from the others, and all have one certificate.
    """
    if not near or origin.get().may("route.share"):
        return True
    services = {route.service_id, *(other.service_id for other in near)}
    places = select(Service.environment_id, Service.system_id).where(Service.id.in_(services)).distinct()
    return len((await session.execute(places)).all()) == 1


def _tls_among(siblings: list[Route], wanted: RouteIn, *, has_dns: bool) -> tuple[str, str | None]:
    """Return a new route's TLS setting: that of its hostname, else the requested one, else the default for the name."""
    asked = _asked_tls(wanted)
    if not siblings:
        return asked or (default_tls(wanted.hostname, has_dns=has_dns), None)
    current = siblings[0].tls, siblings[0].certificate_id
    if asked is not None and asked != current:
        raise Conflict(
            f"{wanted.hostname} is served with TLS “{current[0]}” already, and a hostname has one certificate",
            hint="Leave `tls` out, or change it at the existing route: all paths of the name change with it.",
        )
    return current


def _tls_after(
    route: Route, siblings: list[Route], patch: RoutePatch, *, moves: bool, has_dns: bool
) -> tuple[str, str | None]:
    asked = _asked_tls(patch)
    if asked is not None:
        return asked
    if moves and siblings:
        return siblings[0].tls, siblings[0].certificate_id
    if moves and route.tls in {"internal", "acme"}:
        return default_tls(route.hostname, has_dns=has_dns), None
    return route.tls, route.certificate_id


def _asked_tls(wanted: RouteIn | RoutePatch) -> tuple[str, str | None] | None:
    if wanted.tls is None and wanted.certificate_id is not None:
        return "custom", wanted.certificate_id
    return (wanted.tls, wanted.certificate_id) if wanted.tls is not None else None


def _progress(route: Route, siblings: list[Route]) -> Mapping[str, Any]:
    """Return the state of the hostname's certificate order, copied from a route of another path."""
    for other in siblings:
        if (other.tls, other.certificate_id) == (route.tls, route.certificate_id):
            return {name: getattr(other, name) for name in ACME_PROGRESS}
    return _NEW_NAME


def _share_tls(route: Route, siblings: list[Route]) -> list[Route]:
    """Copy the TLS setting to the siblings that differ, and return those."""
    differing = [other for other in siblings if (other.tls, other.certificate_id) != (route.tls, route.certificate_id)]
    for other in differing:
        _set(other, {"tls": route.tls, "certificate_id": route.certificate_id, **_NEW_NAME})
    return differing


async def _check(session: AsyncSession, settings: Settings, route: Route) -> None:
    """Raise BadInput when hostname, TLS setting and redirect do not fit together."""
    if (route.tls == "custom") != (route.certificate_id is not None):
        raise _bad("certificate_id", "give a certificate for TLS “custom”, and only then")
    if route.certificate_id is not None:
        certificate = await session.get(Certificate, route.certificate_id)
        if certificate is None or certificate.team_id != route.team_id:
            raise _bad("certificate_id", "there is no certificate with this id")
        if not certifies(certificate.hostnames, route.hostname):
            raise _bad("certificate_id", f"this certificate is not for {route.hostname}")
    if route.tls == "acme" and is_wildcard(route.hostname) and not await _has_dns(session, route):
        zone = route.hostname.removeprefix("*.")
        if len(queries.PROOF + zone) > MAX_HOSTNAME:
            reason = f"the record of its proof would have more than {MAX_HOSTNAME} characters:"
        else:
            reason = f"no DNS credential is for {zone}: add one (`orc dns add`),"
        raise _bad("tls", f"a wildcard is proven by DNS alone, and {reason} use “internal”, or upload a certificate")
    if route.tls == "acme" and settings.acme.ca_root is None and not is_public(route.hostname):
        raise _bad("tls", f"no public authority certifies {route.hostname}; use “internal” or upload a certificate")
    if route.redirect_to is not None and is_loop(route.hostname, route.path_prefix, route.redirect_to):
        raise _bad("redirect_to", "this would redirect to itself")


async def _has_dns(session: AsyncSession, route: Route) -> bool:
    """Whether the team can prove the name by DNS."""
    credentials = await queries.list_zone_credentials(session, route.team_id)
    return queries.credential_for(route.hostname, route.team_id, credentials) is not None


def _options(stored: dict[str, Any], wanted: RouteIn | RoutePatch, hashes: Mapping[str, str]) -> dict[str, Any]:
    assert wanted.options is not None  # noqa: S101 - the callers looked
    try:
        options = merge_options(stored, wanted.options, dict(hashes))
    except ValueError as error:
        raise _bad("options.basic_auth", str(error)) from error
    if options.hsts_preload and not (options.hsts_subdomains and (options.hsts_max_age or 0) >= _PRELOADED_AGE):
        needed = f"give hsts_subdomains and an hsts_max_age of at least {_PRELOADED_AGE}, too"
        raise _bad("options.hsts_preload", needed)
    return options.model_dump(mode="json")


async def _free_automatic_name(session: AsyncSession, settings: Settings, service: Service) -> str | None:
    """Return a free automatic name, with a salt when the plain one is taken; None when there is none."""
    await _lock_names(session)
    return await propose_hostname(session, settings, service)


async def propose_hostname(session: AsyncSession, settings: Settings, service: Service) -> str | None:
    """Return the automatic name that the service would get now, or None; it is not reserved and may still be taken.

    When the name would not be a valid hostname, an error is logged.
    """
    project = await session.get_one(Project, service.project_id)
    panel = panel_hostnames(settings.panel_url, settings.allowed.hosts)
    for salt in ("", service.id):
        name = automatic_hostname(service.slug, project.slug, base_domain=settings.base.domain, salt=salt)
        try:
            hostname = parse_hostname(name)
        except ValueError as error:
            log.error("base_domain_unusable", hostname=name, reason=str(error))  # noqa: TRY400 - the cause is known
            return None
        taken = await queries.list_overlapping(session, hostname)
        holder = await find_other_holder(session, settings, hostname, service)
        if not taken and holder is None and not is_reserved(hostname, panel, settings.base.domain):
            return hostname
    return None


async def _fact(name: str, session: AsyncSession, route: Route, **more: Any) -> Fact:
    return Fact(name, route.team_id, "route", route.id, await names_of(session, route) | more)


def _set(route: Route, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(route, name, value)


def _bad(field: str, message: str) -> BadInput:
    return BadInput(f"{field}: {message}", fields={field: message})
