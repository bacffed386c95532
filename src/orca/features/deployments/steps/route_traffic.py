"""Point the hostnames at the new release: one transaction, one atomic reload."""

from sqlalchemy import delete

from orca.db import now
from orca.features.deployments import queries
from orca.features.deployments.models import LiveRelease
from orca.features.deployments.steps.work import Facts, Work, load
from orca.features.routing.actions import apply_routes, clear_targets, ensure_automatic_route, set_targets
from orca.features.routing.schemas import TargetIn
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
        assert facts.release is not None  # noqa: S101 - start_release made it
        await set_targets(session, facts.service, facts.release.id, targets)
        live = await queries.find_live(session, facts.service.id)
        if live is None:
            live = LiveRelease(team_id=facts.service.team_id, service_id=facts.service.id)
            session.add(live)
        live.release_id, live.deployment_id, live.since = facts.release.id, work.deployment_id, now()
    crash_point("route_traffic.recorded")
    await apply_routes(work.resources)
    return f"{len(targets)} target{'s' if len(targets) != 1 else ''}"


async def restore_traffic(work: Work) -> None:
    """Put back what was live before, when traffic had already moved to a release that then failed."""
    facts = await load(work)
    async with work.resources.db.read() as session:
        live = await queries.find_live(session, facts.service.id)
        previous = await queries.find_release(session, facts.deployment.previous_release_id)
    if live is None or live.deployment_id != work.deployment_id:
        return
    before = facts.deployment.previous_deployment_id
    containers = await work.resources.engine.inspect({"orca.deployment": before}) if before else []
    async with work.resources.db.write() as session:
        if previous is None or before is None:
            await session.execute(delete(LiveRelease).where(LiveRelease.service_id == facts.service.id))
            await clear_targets(session, facts.service.id)
        else:
            old = Facts(facts.deployment, facts.service, None, previous, {})
            await set_targets(session, facts.service, previous.id, targets_of(old, containers))
            row = await queries.find_live(session, facts.service.id)
            assert row is not None  # noqa: S101 - seen above, and one task at a time works on a service
            row.release_id, row.deployment_id = previous.id, before
    await apply_routes(work.resources)


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
