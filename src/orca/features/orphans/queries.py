"""Looks at engine and proxy for what this database does not know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import ProviderError
from orca.features.deployments.queries import list_unknown
from orca.features.orphans.schemas import Orphan, OrphansOut
from orca.features.routing.actions.quarantine import find_unknown_routes
from orca.features.services.models import Service, Volume
from orca.instance.models import Instance
from orca.resources import Resources
from orca.sdk.engines import Container, SupportsSurvey
from orca.sdk.proxies import ProxyConfig, ProxyRoute

_VOLUME = "orca-"


async def list_orphans(resources: Resources) -> OrphansOut:
    """Containers by their deployment, routes, volumes, and a database that ends too early. Asks engine and proxy."""
    seen = await _observe(resources)
    async with resources.db.read() as session:
        unknown = await list_unknown(session, seen.containers)
        services = await _list_services(session)
        items = [*await _list_history(session), *_list_deployments(seen.containers, unknown, services)]
        if seen.served is not None:
            routes = await find_unknown_routes(session, seen.served)
            items += [_route(route, service_of(route, seen.containers, services)) for route in routes.values()]
        items += await _list_volumes(session, seen.volumes)
    return OrphansOut(items=items, problems=seen.problems)


async def look_at_containers(resources: Resources) -> list[Container]:
    """Every container of this instance that belongs to a deployment. Raises ProviderError."""
    engine = resources.engine
    look = engine.survey if isinstance(engine, SupportsSurvey) else engine.inspect
    return await look({"orca.instance": resources.instance, "orca.deployment": ""})


@dataclass(frozen=True, slots=True)
class _Observed:
    """What engine and proxy have; empty where they did not answer, and `problems` says so."""

    containers: list[Container]
    volumes: list[str]
    served: ProxyConfig | None
    problems: list[str]


async def _observe(resources: Resources) -> _Observed:
    problems: list[str] = []
    try:
        containers, volumes = await look_at_containers(resources), await resources.engine.list_volumes({})
    except ProviderError as error:
        containers, volumes = [], []
        problems.append(error.message)
    try:
        served = (await resources.proxy.inspect()).config
    except ProviderError as error:
        served = None
        problems.append(error.message)
    return _Observed(containers, volumes, served, problems)


def service_of(route: ProxyRoute, containers: Iterable[Container], services: Mapping[str, Service]) -> Service | None:
    """The service whose container a route leads to."""
    hosts = {upstream.host for upstream in route.upstreams}
    found = (each.labels.get("orca.service", "") for each in containers if each.address in hosts)
    return next((services[service_id] for service_id in found if service_id in services), None)


async def _list_services(session: AsyncSession) -> dict[str, Service]:
    rows = await session.scalars(select(Service).where(Service.deleted_at.is_(None)))
    return {service.id: service for service in rows}


async def _list_history(session: AsyncSession) -> list[Orphan]:
    row = await session.scalar(select(Instance).where(Instance.lost_after.is_not(None)))
    if row is None:
        return []
    detail = f"This database ends with event {row.lost_after}; event {row.lost_until} had been seen before."
    return [Orphan(kind="history", id="history", name="Lost history", detail=detail, state="warning", can_adopt=True,
                   can_remove=False)]  # fmt: skip


def _list_deployments(
    containers: Iterable[Container], unknown: set[str], services: Mapping[str, Service]
) -> list[Orphan]:
    groups: dict[str, list[Container]] = {}
    for container in containers:
        if container.labels["orca.deployment"] in unknown and "orca.replica" in container.labels:
            groups.setdefault(container.labels["orca.deployment"], []).append(container)
    return [_deployment(deployment_id, group, services) for deployment_id, group in sorted(groups.items())]


def _deployment(deployment_id: str, group: list[Container], services: Mapping[str, Service]) -> Orphan:
    service = services.get(group[0].labels.get("orca.service", ""))
    running = sum(1 for container in group if container.state == "running")
    return Orphan(
        kind="deployment", id=deployment_id, name=", ".join(sorted(container.name for container in group)),
        service_id=service.id if service else None, service=service.slug if service else "",
        detail=f"{running} of {len(group)} run, with the image {group[0].image_id.removeprefix('sha256:')[:12]}",
        state="running" if running else "stopped", can_adopt=service is not None and running > 0,
    )  # fmt: skip


def _route(route: ProxyRoute, service: Service | None) -> Orphan:
    leads_to = ", ".join(map(str, route.upstreams)) or route.redirect_to or "nothing"
    return Orphan(
        kind="route", id=route.id, name=route.hostname + route.path_prefix.rstrip("/"), detail=f"leads to {leads_to}",
        service_id=service.id if service else None, service=service.slug if service else "", state="running",
        can_adopt=service is not None,
    )  # fmt: skip


async def _list_volumes(session: AsyncSession, names: Iterable[str]) -> list[Orphan]:
    known = set((await session.scalars(select(Volume.id))).all())
    unknown = [name for name in names if name.removeprefix(_VOLUME) not in known]
    detail = "Its data is kept. To destroy it, use `docker volume rm` by hand."
    return [Orphan(kind="volume", id=name, name=name, detail=detail, can_remove=False) for name in unknown]
