"""Looks at engine and proxy for what this database does not know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments.queries import list_unknown, list_workloads
from orca.features.deployments.rules import WorkloadRef, maker_of
from orca.features.orphans.schemas import Orphan, OrphansOut
from orca.features.routing.operations.quarantine import find_unknown_routes
from orca.features.services.models import Service, Volume
from orca.instance.models import Instance
from orca.resources import Resources
from orca.sdk.proxies import ProxyConfig, ProxyRoute
from orca.sdk.workloads import Replica

_VOLUME = "orca-"


async def list_orphans(resources: Resources) -> OrphansOut:
    """Containers by their deployment, routes, volumes, and a database that ends too early. Asks engine and proxy."""
    seen = await observe(resources)
    async with resources.db.read() as session:
        unknown = await list_unknown(session, seen.replicas)
        services = await _list_services(session)
        items = [*await _list_history(session)]
        live = await list_workloads(session)
        for maker, group in sorted(_group_by_maker(seen.replicas).items()):
            if maker in unknown:
                items.append(_deployment(maker, group, services, live))
        for served in seen.served:
            routes = await find_unknown_routes(session, served)
            items += [_route(route, service_of(route, seen.replicas, services)) for route in routes.values()]
        items += await _list_volumes(session, seen.volumes)
    return OrphansOut(items=items, problems=seen.problems)


async def look_at_containers(resources: Resources) -> dict[str, list[Replica]]:
    """Every container of this instance that belongs to a deployment, by system. Raises ProviderError for `local`."""
    return await resources.systems.on_each(partial(_look_at_system, resources))


async def _look_at_system(resources: Resources, system_id: str) -> list[Replica]:
    return await resources.systems.survey(
        system_id, {"orca.instance": resources.instance, "orca.deployment": ""}, runs=True
    )


@dataclass(frozen=True, slots=True)
class Inventory:
    """What engine and proxy have; empty where they did not answer, and `problems` says so."""

    replicas: list[Replica]
    volumes: list[str]
    served: list[ProxyConfig]
    problems: list[str]


async def observe(resources: Resources) -> Inventory:
    """Look at engine and proxy of every system; what does not answer is a problem, and the rest is there."""

    async def look(system_id: str) -> tuple[list[Replica], list[str]]:
        host = await resources.systems.containers(system_id)
        return await _look_at_system(resources, system_id), await host.list_volumes({})

    async def look_at_proxy(system_id: str) -> ProxyConfig | None:
        return (await (await resources.systems.proxy(system_id)).inspect()).config

    found, away = await resources.systems.try_each(look)
    served, gone = await resources.systems.try_each(look_at_proxy)
    return Inventory(
        [replica for replicas, _ in found.values() for replica in replicas],
        [volume for _, volumes in found.values() for volume in volumes],
        [config for config in served.values() if config is not None],
        [error.message for error in (*away.values(), *gone.values())],
    )


def service_of(route: ProxyRoute, replicas: Iterable[Replica], services: Mapping[str, Service]) -> Service | None:
    """The service whose container a route leads to."""
    hosts = {upstream.host for upstream in route.upstreams}
    found = (replica.labels.get("orca.service", "") for replica in replicas if replica.address in hosts)
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


def _group_by_maker(replicas: Iterable[Replica]) -> dict[str, list[Replica]]:
    groups: dict[str, list[Replica]] = {}
    for replica in replicas:
        if replica.index is not None:
            groups.setdefault(maker_of(replica), []).append(replica)
    return groups


def _deployment(
    deployment_id: str, group: list[Replica], services: Mapping[str, Service], live: Mapping[str, WorkloadRef]
) -> Orphan:
    """What scaling added to a workload goes with that alone: it can be adopted where the workload is live."""
    service = services.get(group[0].labels.get("orca.service", ""))
    running = sum(1 for replica in group if replica.state == "running")
    workload_id = group[0].labels["orca.deployment"]
    is_whole = workload_id == deployment_id
    is_live = service is not None and service.id in live and live[service.id].id == workload_id
    return Orphan(
        kind="deployment", id=deployment_id, name=", ".join(sorted(replica.name for replica in group)),
        service_id=service.id if service else None, service=service.slug if service else "",
        detail=f"{running} of {len(group)} run, with the image {group[0].image_id.removeprefix('sha256:')[:12]}",
        state="running" if running else "stopped",
        can_adopt=service is not None and running > 0 and (is_whole or is_live),
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
