"""Routes that the proxy serves and that this database cannot explain stay as they are until an administrator decides.

A database that was restored, emptied or exchanged lacks routes, or has targets that are gone: applying it unchanged
would take down sites that work.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import ProviderError
from orca.features.routing.models import Route
from orca.features.routing.rendering import MARKER_SUFFIX
from orca.instance.tombstones import list_buried
from orca.resources import Resources
from orca.sdk.proxies import ProxyConfig, ProxyRoute, Upstream

log = structlog.get_logger("orca.routing")
Upstreams = tuple[Upstream, ...]


class Quarantine:
    """The routes that this process keeps as they are served; updated before the first apply and in each drift check."""

    def __init__(self) -> None:
        self.is_sure = False
        """Whether proxy and engine both answered at the last update."""
        self._unknown: dict[str, ProxyRoute] = {}
        self._held: dict[str, tuple[Upstreams, Upstreams]] = {}
        """Route id -> (upstreams of the database, which do not run; upstreams that are served, which run)."""
        self._served: ProxyConfig | None = None

    async def look(
        self, resources: Resources, system_id: str, served: ProxyConfig | None, desired: ProxyConfig
    ) -> None:
        """Determine which routes must stay, from the served and the desired configuration."""
        self.is_sure, self._served = True, served
        if served is None:
            return
        async with resources.db.read() as session:
            unknown = await find_unknown_routes(session, served)
        if new := unknown.keys() - self._unknown.keys():
            log.warning("unknown_routes_stay", routes=sorted(unknown[route_id].hostname for route_id in new))
        self._unknown = unknown
        await self._look_for_held(resources, system_id, served, desired)

    async def _look_for_held(
        self, resources: Resources, system_id: str, served: ProxyConfig, desired: ProxyConfig
    ) -> None:
        before = {route.id: route.upstreams for route in served.routes if route.upstreams}
        moved = {
            route.id: (route.upstreams, before[route.id])
            for route in desired.routes
            if route.id in before and route.upstreams and not {*route.upstreams} & {*before[route.id]}
        }
        try:
            running = await _list_running(resources, system_id, moved) if moved else {}
        except ProviderError as error:  # unknown what runs: keep all served upstreams
            log.warning("upstreams_not_moved", reason=error.message)
            self._held, self.is_sure = moved, False
            return
        self._held = {
            route_id: (wanted, now_served)
            for route_id, (wanted, now_served) in moved.items()
            if not _hosts(wanted) & running[route_id] and _hosts(now_served) & running[route_id]
        }

    async def keep(self, session: AsyncSession, desired: ProxyConfig) -> ProxyConfig:
        """Return the desired configuration with the routes that must stay."""
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
        used = {route.certificate_id for route in routes} - {certificate.id for certificate in desired.certificates}
        kept = [
            certificate for certificate in (self._served.certificates if self._served else ()) if certificate.id in used
        ]
        return replace(desired, routes=tuple(routes), certificates=(*desired.certificates, *kept))

    def _hold(self, route: ProxyRoute) -> ProxyRoute:
        """Return the route as it is served, while the database still has the same upstreams, which do not run."""
        wanted, served = self._held.get(route.id, ((), ()))
        return replace(route, upstreams=served) if served and route.upstreams == wanted else route


async def find_unknown_routes(session: AsyncSession, served: ProxyConfig) -> dict[str, ProxyRoute]:
    """Return served routes that have no row and are not recorded as deleted."""
    by_id = {route.id: route for route in served.routes if not route.id.endswith(MARKER_SUFFIX)}
    known = set((await session.scalars(select(Route.id))).all())
    candidates = by_id.keys() - known
    if not candidates:
        return {}
    buried = await list_buried(session, "route", candidates)
    return {route_id: by_id[route_id] for route_id in candidates - buried}


async def _list_running(resources: Resources, system_id: str, route_ids: Collection[str]) -> Mapping[str, set[str]]:
    """Map route ids to the addresses of running containers of their service."""
    async with resources.db.read() as session:
        query = select(Route.id, Route.service_id).where(Route.id.in_(route_ids))
        services = {row.id: row.service_id for row in await session.execute(query)}
    running: dict[str, set[str]] = {}
    for replica in await resources.systems.survey(system_id, {}):
        if replica.state == "running" and replica.address:
            running.setdefault(replica.labels.get("orca.service", ""), set()).add(replica.address)
    return {route_id: running.get(services.get(route_id, ""), set()) for route_id in route_ids}


def _hosts(upstreams: Upstreams) -> set[str]:
    return {upstream.host for upstream in upstreams}


def quarantine_of(resources: Resources, system_id: str) -> Quarantine:
    """Return this process's quarantine for the proxy of a system."""
    return resources.systems.state(system_id, Quarantine)
