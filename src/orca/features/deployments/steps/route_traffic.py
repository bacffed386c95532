"""Point the hostnames at the new release: one transaction, one atomic reload."""

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.features.deployments import queries
from orca.features.deployments.models import Deployment, LiveRelease
from orca.features.deployments.steps.work import Facts, Work, load
from orca.features.routing.actions import apply_routes, clear_targets, ensure_automatic_route, set_targets
from orca.features.routing.queries import list_targets
from orca.features.routing.schemas import TargetIn
from orca.features.services.models import Service
from orca.kit.crash import crash_point
from orca.sdk.engines import Container


async def route_traffic(work: Work) -> str:
    """Move targets and the live release together, then let the proxy load; the old release still runs."""
    facts = await load(work)
    if facts.deployment.kind in {"stop", "remove"}:
        return await _take_down(work, facts)
    containers = await work.resources.engine.inspect({"orca.deployment": work.deployment_id})
    targets = targets_of(facts, containers)
    async with work.resources.db.write() as session:
        if any(port.public for port in facts.config.ports):
            await ensure_automatic_route(session, work.resources, facts.service)
        await _move(session, facts, targets)
    crash_point("route_traffic.recorded")
    await apply_routes(work.resources)
    return f"{len(targets)} target{'s' if len(targets) != 1 else ''}"


async def _move(session: AsyncSession, facts: Facts, targets: list[TargetIn]) -> None:
    assert facts.release is not None  # noqa: S101 - start_release made it
    live = await queries.find_live(session, facts.service.id)
    if live is None:
        live = LiveRelease(team_id=facts.service.team_id, service_id=facts.service.id)
    elif live.deployment_id != facts.deployment.id:  # a replay finds its own targets
        deployment = await session.get_one(Deployment, facts.deployment.id)
        before = await list_targets(session, facts.service.id)
        deployment.previous_targets = [target.model_dump(mode="json") for target in before]
    live.release_id, live.deployment_id, live.since = facts.release.id, facts.deployment.id, now()
    session.add(live)
    await set_targets(session, facts.service, facts.release.id, targets)


async def restore_traffic(work: Work) -> None:
    """Put back what was live before, when traffic had already moved to a release that then failed.

    The engine is not asked: it may be what failed, and containers keep their addresses.
    """
    async with work.resources.db.write() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
        live = await queries.find_live(session, deployment.service_id)
        if live is None or live.deployment_id != deployment.id:
            return
        await _move_back(session, deployment, live)
    await apply_routes(work.resources)


async def _move_back(session: AsyncSession, deployment: Deployment, live: LiveRelease) -> None:
    release_id, deployment_id = deployment.previous_release_id, deployment.previous_deployment_id
    if release_id is None or deployment_id is None:
        await session.delete(live)
        await clear_targets(session, deployment.service_id)
        return
    service = await session.get_one(Service, deployment.service_id)
    before = [TargetIn.model_validate(target) for target in deployment.previous_targets]
    await set_targets(session, service, release_id, before)
    live.release_id, live.deployment_id = release_id, deployment_id


def targets_of(facts: Facts, containers: list[Container]) -> list[TargetIn]:
    """Where each replica listens."""
    config = facts.release.config if facts.release else facts.deployment.config
    ports = [{"name": port["name"], "port": port["port"], "public": port["public"]} for port in config["ports"]]
    return [
        TargetIn(replica=int(container.labels["orca.replica"]), address=container.address, ports=ports)
        for container in sorted(containers, key=lambda each: each.name)
        if container.address is not None and "orca.replica" in container.labels
    ]


async def _take_down(work: Work, facts: Facts) -> str:
    async with work.resources.db.write() as session:
        await clear_targets(session, facts.service.id)
        if facts.deployment.kind == "remove":
            await session.execute(delete(LiveRelease).where(LiveRelease.service_id == facts.service.id))
    await apply_routes(work.resources)
    return "no traffic any more"
