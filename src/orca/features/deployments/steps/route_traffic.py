"""Point the hostnames at the new release: one transaction, one atomic reload."""

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Conflict, OrcaError, ProviderError, StepFailed
from orca.features.deployments import queries
from orca.features.deployments.actions.resolve_release import lock_service
from orca.features.deployments.models import Deployment, LiveRelease
from orca.features.deployments.operations.progress import add_warning
from orca.features.deployments.rules import TAKES_DOWN
from orca.features.deployments.steps.work import DeploymentRows, StepContext, find_replicas, load, systems_of
from orca.features.deployments.targets import targets_of
from orca.features.routing.actions import clear_targets, ensure_automatic_route, set_targets
from orca.features.routing.operations import Refusals, apply_routes
from orca.features.routing.queries import RouteState, list_route_states, list_targets
from orca.features.routing.schemas.routes import TargetIn
from orca.features.services.models import Service
from orca.kit.crash import crash_point
from orca.kit.text import join
from orca.sdk.workloads import Replica


async def route_traffic(work: StepContext) -> str:
    """Move targets and the live release in one transaction, then reload the proxy; the old release still runs."""
    facts = await load(work)
    if facts.deployment.kind in TAKES_DOWN:
        return await _take_down(work, facts)
    serving = await _leave_dead(work, facts, await find_replicas(work, facts))
    targets = targets_of(facts.release.config if facts.release else facts.deployment.config, serving, facts.system_id)
    async with work.resources.db.write() as session:
        routes = await _move(session, work, facts, targets)
    crash_point("route_traffic.stored")
    await _check_refusals(work, facts, routes, await _apply(work, facts))
    return f"{len(targets)} target{'s' if len(targets) != 1 else ''}"


async def _apply(work: StepContext, facts: DeploymentRows) -> Refusals:
    """Apply on the system that serves now, then on the one that served before; a failure there is only a warning."""
    refused = await apply_routes(work.resources, systems=[facts.system_id])
    if facts.previous_system_id != facts.system_id:
        try:
            await apply_routes(work.resources, systems=[facts.previous_system_id])
        except OrcaError as error:
            await add_warning(work.resources.db, work.deployment_id, join(error.message, error.hint))
    return refused


async def _leave_dead(work: StepContext, facts: DeploymentRows, replicas: list[Replica]) -> list[Replica]:
    """Return the replicas that may serve. Earlier ones that do not run any more get no traffic, but a warning."""
    ended = {"created", "exited", "dead"}
    dead = [replica for replica in replicas if not facts.is_own(replica) and replica.state in ended]
    if dead:
        names = ", ".join(replica.name for replica in dead)
        warning = f"Without traffic, because they do not run: {names}. `orc restart` replaces them."
        await add_warning(work.resources.db, work.deployment_id, warning)
    return [replica for replica in replicas if replica not in dead]


async def _move(
    session: AsyncSession, work: StepContext, facts: DeploymentRows, targets: list[TargetIn]
) -> dict[str, RouteState]:
    """Store the live release, its targets and the desired state. Returns the routes as they were before, by id."""
    service = await lock_service(session, facts.service.id)
    if service.deleted_at is not None:
        raise Conflict("the service was deleted meanwhile")
    assert facts.release is not None  # noqa: S101 - start_release made it
    if any(port.public for port in facts.config.ports):
        await ensure_automatic_route(session, work.resources, service)
    live = await queries.find_live(session, service.id)
    if live is None:
        live = LiveRelease(team_id=service.team_id, service_id=service.id)
    elif live.deployment_id != work.deployment_id:  # a replay finds its own targets
        await _keep_targets(session, work, service)
    live.release_id, live.deployment_id = facts.release.id, work.deployment_id
    if live.since is None or not facts.continues:
        live.since = now()
    session.add(live)
    routes = await list_route_states(session, service.id)
    await set_targets(session, service, facts.release.id, targets)
    service.desired_state = "running"
    return routes


async def _keep_targets(session: AsyncSession, work: StepContext, service: Service) -> None:
    deployment = await session.get_one(Deployment, work.deployment_id)
    before = await list_targets(session, service.id)
    deployment.previous_desired_state = service.desired_state
    deployment.previous_targets = [target.model_dump(mode="json") for target in before]


async def _check_refusals(
    work: StepContext, facts: DeploymentRows, routes: dict[str, RouteState], refused: Refusals
) -> None:
    """Fail when a hostname that worked before was refused; one that was broken before only adds a warning."""
    for route_id in refused.keys() & routes.keys():
        route, error = routes[route_id], refused[route_id]
        problem = f"{route.hostname} is not served: {error.message}"
        if route.state != "broken":
            raise StepFailed(problem, hint=f"{error.hint} Deploy again once that is mended.{facts.old_serves}".strip())
        await add_warning(work.resources.db, work.deployment_id, join(problem, error.hint))


async def restore_traffic(work: StepContext) -> None:
    """Restore the previous live release and targets, when traffic had already moved to a release that then failed.

    Does not ask the engine: it may be what failed, and containers keep their addresses.
    """
    async with work.resources.db.write() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
        live = await queries.find_live(session, deployment.service_id)
        if live is None or live.deployment_id != deployment.id:
            return
        await _move_back(session, deployment, live)
    facts = await load(work)
    await apply_routes(work.resources, systems=[facts.previous_system_id])
    if facts.system_id != facts.previous_system_id:
        await apply_routes(work.resources, systems=[facts.system_id])


async def _move_back(session: AsyncSession, deployment: Deployment, live: LiveRelease) -> None:
    release_id, deployment_id = deployment.previous_release_id, deployment.previous_deployment_id
    if release_id is None or deployment_id is None:
        await session.delete(live)
        await clear_targets(session, deployment.service_id)
        return
    service = await lock_service(session, deployment.service_id)
    before = [TargetIn.model_validate(target) for target in deployment.previous_targets]
    await set_targets(session, service, release_id, before)
    live.release_id, live.deployment_id = release_id, deployment_id
    service.desired_state = deployment.previous_desired_state


async def _take_down(work: StepContext, facts: DeploymentRows) -> str:
    """Stop the traffic of a service. A proxy failure is only a warning: the drift check repairs the proxy later."""
    async with work.resources.db.write() as session:
        service = await lock_service(session, facts.service.id)
        service.desired_state = "stopped"
        await clear_targets(session, service.id)
        if facts.deployment.kind == "remove":
            await session.execute(delete(LiveRelease).where(LiveRelease.service_id == service.id))
    try:
        await apply_routes(work.resources, systems=systems_of(facts))
    except ProviderError as error:
        await add_warning(work.resources.db, work.deployment_id, join(error.message, error.hint))
    return "no traffic any more"
