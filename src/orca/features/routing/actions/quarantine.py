"""What the proxy serves and this database cannot account for stays as it is until an administrator decides.

A database that was restored, emptied or exchanged lacks routes, or has targets that are gone: applying it as it stands
would take sites away that work.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database
from orca.errors import ProviderError
from orca.features.routing.models import Route
from orca.features.routing.queries import MARKER_SUFFIX
from orca.instance.tombstones import list_buried
from orca.resources import Resources
from orca.sdk.engines import SupportsSurvey
from orca.sdk.proxies import ProxyConfig, ProxyRoute, Upstream

log = structlog.get_logger("orca.routing")
Upstreams = tuple[Upstream, ...]


class Quarantine:
    """What one process keeps as it is served. Looked at before the first apply, and with every check for drift."""

    def __init__(self) -> None:
        self.is_sure = False
        """Whether proxy and engine both answered when it was looked at last."""
        self._unknown: dict[str, ProxyRoute] = {}
        self._held: dict[str, tuple[Upstreams, Upstreams]] = {}
        """Route id -> the upstreams that the database has and that do not run, and those that are served and run."""
        self._served: ProxyConfig | None = None

    async def look(self, resources: Resources, served: ProxyConfig | None, desired: ProxyConfig) -> None:
        """Find out what must stay, given what is served and what the database wants."""
        self.is_sure, self._served = True, served
        if served is None:
            return
        async with resources.db.read() as session:
            unknown = await find_unknown_routes(session, served)
        if new := unknown.keys() - self._unknown.keys():
            log.warning("unknown_routes_stay", routes=sorted(unknown[each].hostname for each in new))
        self._unknown = unknown
        await self._look_for_held(resources, served, desired)

    async def _look_for_held(self, resources: Resources, served: ProxyConfig, desired: ProxyConfig) -> None:
        before = {route.id: route.upstreams for route in served.routes if route.upstreams}
        moved = {
            route.id: (route.upstreams, before[route.id])
            for route in desired.routes
            if route.id in before and route.upstreams and not {*route.upstreams} & {*before[route.id]}
        }
        try:
            running = await _list_running(resources, moved) if moved else {}
        except ProviderError as error:  # nothing is known, so that nothing is moved away from where it is served
            log.warning("upstreams_not_moved", reason=error.message)
            self._held, self.is_sure = moved, False
            return
        self._held = {
            route_id: (wanted, now_served)
            for route_id, (wanted, now_served) in moved.items()
            if not _hosts(wanted) & running[route_id] and _hosts(now_served) & running[route_id]
        }

    async def keep(self, session: AsyncSession, desired: ProxyConfig) -> ProxyConfig:
        """The wanted configuration with what must stay."""
        if not self._unknown and not self._held:
            return desired
        routes = [self._hold(route) for route in desired.routes]
        taken = {(route.hostname, route.path_prefix) for route in routes}
        buried = await list_buried(session, "route", self._unknown.keys())
        routes += [
            route
            for route_id, route in self._unknown.items()
            if route_id not in buried and (route.hostname, route.path_prefix) not in taken
        ]
        used = {route.certificate_id for route in routes} - {each.id for each in desired.certificates}
        kept = [each for each in (self._served.certificates if self._served else ()) if each.id in used]
        return replace(desired, routes=tuple(routes), certificates=(*desired.certificates, *kept))

    def _hold(self, route: ProxyRoute) -> ProxyRoute:
        """As served, for as long as the database wants the same upstreams that do not run."""
        wanted, served = self._held.get(route.id, ((), ()))
        return replace(route, upstreams=served) if served and route.upstreams == wanted else route


async def find_unknown_routes(session: AsyncSession, served: ProxyConfig) -> dict[str, ProxyRoute]:
    """Routes that are served, are in no row, and whose deletion is not on record."""
    by_id = {route.id: route for route in served.routes if not route.id.endswith(MARKER_SUFFIX)}
    known = set((await session.scalars(select(Route.id))).all())
    candidates = by_id.keys() - known
    if not candidates:
        return {}
    buried = await list_buried(session, "route", candidates)
    return {route_id: by_id[route_id] for route_id in candidates - buried}


async def _list_running(resources: Resources, route_ids: Collection[str]) -> Mapping[str, set[str]]:
    """Route id -> addresses at which containers of its service run."""
    async with resources.db.read() as session:
        query = select(Route.id, Route.service_id).where(Route.id.in_(route_ids))
        services = {row.id: row.service_id for row in await session.execute(query)}
    engine = resources.engine
    look = engine.survey if isinstance(engine, SupportsSurvey) else engine.inspect
    running: dict[str, set[str]] = {}
    for container in await look({"orca.replica": ""}):
        if container.state == "running" and container.address:
            running.setdefault(container.labels.get("orca.service", ""), set()).add(container.address)
    return {route_id: running.get(services.get(route_id, ""), set()) for route_id in route_ids}


def _hosts(upstreams: Upstreams) -> set[str]:
    return {upstream.host for upstream in upstreams}


_quarantines: WeakKeyDictionary[Database, Quarantine] = WeakKeyDictionary()


def quarantine_of(db: Database) -> Quarantine:
    """The one of this process."""
    return _quarantines.setdefault(db, Quarantine())
