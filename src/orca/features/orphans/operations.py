"""What a person decides about an orphan: it is taken over as part of its service, or its end is put on record."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Conflict, NotFound
from orca.events import Fact, origin, record
from orca.features.deployments import queries as deployments
from orca.features.deployments.actions.resolve_release import copy_variables, lock_service, next_number
from orca.features.deployments.models import Deployment, LiveRelease, Release
from orca.features.deployments.rules import WorkloadRef, maker_of
from orca.features.deployments.targets import targets_of
from orca.features.orphans.queries import list_orphans, look_at_containers, observe, service_of
from orca.features.orphans.schemas import Decision, Orphan
from orca.features.routing.actions import create_route, set_targets
from orca.features.routing.operations import apply_routes
from orca.features.routing.operations.quarantine import find_unknown_routes
from orca.features.routing.schemas.routes import BasicAuth, RouteIn, RouteOptions
from orca.features.services.models import Service
from orca.instance.models import Instance
from orca.instance.tombstones import bury
from orca.resources import Resources
from orca.sdk.proxies import ProxyRoute
from orca.sdk.workloads import Replica


async def adopt(resources: Resources, decision: Decision) -> Orphan:
    """Take it over; what runs is not touched. Raises NotFound, and Conflict when it belongs to no service here."""
    orphan = await _get_orphan(resources, decision)
    if not orphan.can_adopt:
        raise Conflict(
            f"{orphan.name} belongs to no service of this database, or does not run",
            hint="Create the service and deploy it, then remove this one.",
        )
    if decision.kind == "deployment":
        await _adopt_deployment(resources, orphan)
    elif decision.kind == "route":
        await _adopt_route(resources, orphan)
    else:
        await _accept_history(resources)
    await apply_routes(resources)
    return orphan


async def remove(resources: Resources, decision: Decision) -> Orphan:
    """Put its end on record. Containers go with the next sweep, within a minute; a route at once. Raises NotFound."""
    orphan = await _get_orphan(resources, decision)
    kind = decision.kind
    if kind == "history" or not orphan.can_remove:
        raise Conflict(f"{orphan.name} cannot be removed", hint="It can be adopted.")
    async with resources.db.write() as session:
        await bury(session, kind, [orphan.id])
        await _record(session, "OrphanRemoved", orphan)
    if kind == "route":
        await apply_routes(resources)
    return orphan


async def _get_orphan(resources: Resources, decision: Decision) -> Orphan:
    found = await list_orphans(resources)
    for orphan in found.items:
        if (orphan.kind, orphan.id) == (decision.kind, decision.id):
            return orphan
    problem = f" ({found.problems[0]})" if found.problems else ""
    raise NotFound(f"there is no such orphan now{problem}", hint="`orc orphans list` shows what there is.")


async def _find_place(resources: Resources, maker: str) -> tuple[str, list[Replica]]:
    """Return the system on which a deployment runs, and the containers there. Raises NotFound."""
    for system_id, replicas in (await look_at_containers(resources)).items():
        if any(maker_of(replica) == maker for replica in replicas):
            return system_id, replicas
    raise NotFound("it does not run any more")


async def _adopt_deployment(resources: Resources, orphan: Orphan) -> None:
    """A release of the image that runs, with the configuration that this database knew last.

    What scaling added to the workload that is live gets no release: there are more replicas of the live one.
    """
    system_id, seen = await _find_place(resources, orphan.id)
    replicas = [replica for replica in seen if replica.state == "running" and replica.index is not None]
    group = [replica for replica in replicas if maker_of(replica) == orphan.id]
    async with resources.db.write() as session:
        service = await lock_service(session, str(orphan.service_id))
        base = await _find_base(session, service)
        workload_id = group[0].labels["orca.deployment"]
        is_whole = workload_id == orphan.id
        count = _count_replicas(await deployments.find_workload(session, service.id), replicas, group)
        config = {**base.config, "replicas": count, "system": system_id}
        release = await _make_release(session, resources, base, group[0].image_id, config) if is_whole else base
        deployment = Deployment(
            id=orphan.id, team_id=service.team_id, service_id=service.id, kind="deploy" if is_whole else "scale",
            state="succeeded", trigger="system", number=await next_number(session, Deployment, service.id),
            warnings=[], requested_by=origin.get().actor, source=service.source, release_id=release.id,
            config=config, workload_id=None if is_whole else workload_id,
            started_at=now(), finished_at=now(),
        )  # fmt: skip
        session.add(deployment)
        await session.flush()
        await copy_variables(session, resources, release, deployment)
        await _make_live(session, service, release, deployment)
        serving = [replica for replica in replicas if deployment.workload.includes(replica)]
        await set_targets(session, service, release.id, targets_of(release.config, serving, system_id))
        service.desired_state = "running"
        await _record(session, "OrphanAdopted", orphan, service.team_id)


def _count_replicas(live: WorkloadRef | None, replicas: list[Replica], group: list[Replica]) -> int:
    """So many that the last one that runs is among them, of the group and of what is live in the same workload."""
    is_live = live is not None and live.id == group[0].labels["orca.deployment"]
    joined = [replica for replica in replicas if live is not None and is_live and live.includes(replica)]
    return 1 + max(replica.index or 0 for replica in (*group, *joined))


async def _find_base(session: AsyncSession, service: Service) -> Release:
    live = await deployments.find_live(session, service.id)
    newest = select(Release).where(Release.service_id == service.id).order_by(Release.number.desc()).limit(1)
    base = await deployments.find_release(session, live.release_id) if live else await session.scalar(newest)
    if base is None:
        raise Conflict(
            f"the service {service.slug} has no release in this database, so its settings are not known",
            hint="Deploy the service, then remove what runs now.",
        )
    return base


async def _make_release(
    session: AsyncSession, resources: Resources, base: Release, image: str, config: dict[str, Any]
) -> Release:
    release = Release(
        team_id=base.team_id, service_id=base.service_id, number=await next_number(session, Release, base.service_id),
        image=image, config=config, went_live_at=now(),
    )  # fmt: skip
    session.add(release)
    await session.flush()
    await copy_variables(session, resources, base, release)
    return release


async def _make_live(session: AsyncSession, service: Service, release: Release, deployment: Deployment) -> None:
    live = await deployments.find_live(session, service.id)
    if live is None:
        live = LiveRelease(team_id=service.team_id, service_id=service.id)
        session.add(live)
    live.release_id, live.deployment_id, live.since = release.id, deployment.id, now()


async def _adopt_route(resources: Resources, orphan: Orphan) -> None:
    """The same name and the same options, as a row; the proxy goes on serving it."""
    seen = await observe(resources)
    replicas = seen.replicas
    async with resources.db.write() as session:
        found = [await find_unknown_routes(session, served) for served in seen.served]
        route = next((routes[orphan.id] for routes in found if orphan.id in routes), None)
        rows = await session.scalars(select(Service).where(Service.deleted_at.is_(None)))
        service = service_of(route, replicas, {row.id: row for row in rows}) if route else None
        if route is None or service is None:
            raise NotFound("there is no such orphan now")
        wanted = RouteIn(hostname=route.hostname, path_prefix=route.path_prefix)
        row = await create_route(session, resources.settings, service, wanted, {})
        row.options = _options_of(route).model_dump(mode="json")
        await bury(session, "route", [orphan.id])
        await _record(session, "OrphanAdopted", orphan, service.team_id)


def _options_of(route: ProxyRoute) -> RouteOptions:
    users = [BasicAuth(username=user.username, password_hash=user.password_hash) for user in route.basic_auth]
    return RouteOptions(
        strip_prefix=route.strip_prefix, compress=route.compress, timeout=route.timeout, basic_auth=users,
        allow_ips=list(route.allow_ips), maintenance=route.maintenance,
        max_body_mb=(route.max_body_bytes or 0) >> 20 or None,
    )  # fmt: skip


async def _accept_history(resources: Resources) -> None:
    async with resources.db.write() as session:
        await session.execute(update(Instance).values(lost_after=None, lost_until=None))
        await record(session, Fact("OrphanAdopted", payload={"kind": "history", "name": "Lost history"}))


async def _record(session: AsyncSession, kind: str, orphan: Orphan, team_id: str | None = None) -> None:
    payload = {"kind": orphan.kind, "name": orphan.name, "service": orphan.service}
    await record(session, Fact(kind, team_id, orphan.kind, orphan.id, payload))
