"""Periodic repair: restarts live releases that stopped running."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import Any

import structlog
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Conflict, ProviderUnavailable, RequestRefused
from orca.events import Event, Fact, record
from orca.features.deployments import queries, rules
from orca.features.deployments.actions.start import DeploymentRequest, start_deployment
from orca.features.deployments.models import Deployment, DeploymentStep, LiveRelease, Release
from orca.features.deployments.queries import list_unknown
from orca.features.deployments.rules import WorkloadRef
from orca.features.services.models import Service
from orca.features.services.schemas.settings import FrozenConfig
from orca.kit.backoff import growing_pause
from orca.resources import Resources
from orca.sdk.engines import Engine, EngineUnreachable
from orca.sdk.workloads import Replica
from orca.systems import LOCAL

log = structlog.get_logger("orca.deployments")

CRASHES_TO_TELL = 5
FIRST_PAUSE = timedelta(seconds=60)
LONGEST_PAUSE = timedelta(hours=1)
MOST_FAILURES = 7
"""After so many failures in a row the pause has reached its maximum."""


async def reconcile_services(resources: Resources) -> None:
    """Start stopped containers of live releases, replace missing ones, and record crash loops.

    Containers are started while a deployment runs too: the live release must serve until a newer one does.
    """
    await resources.systems.on_each(partial(_reconcile_system, resources))


async def _reconcile_system(resources: Resources, system_id: str) -> None:
    engine = await resources.systems.engine(system_id)
    replicas = await engine.observe({"orca.instance": resources.instance})
    async with resources.db.read() as session:
        rows = (await session.execute(
            select(LiveRelease, Release, Deployment).join(Service, Service.id == LiveRelease.service_id)
            .join(Release, Release.id == LiveRelease.release_id)
            .join(Deployment, Deployment.id == LiveRelease.deployment_id)
            .where(Service.desired_state == "running", Service.deleted_at.is_(None), Service.id.not_in(_recreated()),
                   Service.id.not_in(_owing()))
        )).all()  # fmt: skip
        stopped_since = await _list_stopped(session)
        unknown = await list_unknown(session, replicas)
    held = {seen.labels.get("orca.service") for seen in replicas if rules.maker_of(seen) in unknown}
    by_workload: dict[str, list[Replica]] = {}
    for replica in replicas:
        if replica.state != "dead":
            by_workload.setdefault(replica.labels.get("orca.deployment", ""), []).append(replica)
    for live, release, deployment in rows:
        workload = deployment.workload
        if deployment.config.get("system", LOCAL) != system_id:
            continue
        present = [own for own in by_workload.get(workload.id, ()) if workload.includes(own)]
        if live.service_id in held and not present:
            continue  # a release runs that this database does not know: an administrator decides
        began, policy = stopped_since.get(live.deployment_id), release.config["restart"]
        stopped = [own for own in present if rules.was_stopped(own, policy) or rules.was_stopped_by(began, own)]
        alone = workload if began is not None or FrozenConfig.model_validate(release.config).recreates else None
        missing = workload.replicas - len(present)
        if not await _start_again(resources, engine, live, stopped, alone) or missing > 0:
            await _redeploy(resources, live, missing)
    await _tell_about_crash_loops(resources, [seen for seen in replicas if seen.restarts >= CRASHES_TO_TELL])


def _recreated() -> Select[Any]:
    """Select services whose old release was stopped on purpose by a deployment, which restarts it itself on failure."""
    stopped = select(DeploymentStep.deployment_id).where(
        DeploymentStep.name == "stop_previous", DeploymentStep.started_at.is_not(None)
    )
    return select(Deployment.service_id).where(Deployment.state == "running", Deployment.id.in_(stopped))


def _owing() -> Select[Any]:
    """Select services whose volumes still belong to a failed release: the live one could not write to them."""
    return select(Deployment.service_id).where(queries.owes_volumes())


async def _list_stopped(session: AsyncSession) -> dict[str | None, datetime]:
    """Map live deployments to when a later, failed one began to stop their containers; some may still be stopped."""
    query = select(Deployment.previous_deployment_id, DeploymentStep.started_at).join(
        DeploymentStep, DeploymentStep.deployment_id == Deployment.id
    )
    ended = query.where(Deployment.state.in_(("failed", "cancelled")), DeploymentStep.name == "stop_previous")
    live = ended.where(Deployment.previous_deployment_id.in_(select(LiveRelease.deployment_id)))
    rows = await session.execute(live.order_by(Deployment.seq))
    return {deployment_id: began for deployment_id, began in rows if began is not None}


async def _start_again(
    resources: Resources, engine: Engine, live: LiveRelease, stopped: list[Replica], alone: WorkloadRef | None
) -> bool:
    """Start existing containers; return False when the engine refuses one, so that it must be replaced.

    `alone`: their workload, when it must not run beside that of another release.
    """
    for replica in stopped:
        if not await _may_start(resources, engine, live, alone):
            return True
        log.warning("container_started_again", replica=replica.name, exit_code=replica.exit_code)
        try:
            await engine.start(replica)
        except RequestRefused as error:
            log.warning("container_not_startable", replica=replica.name, reason=error.message)
            return False
        except EngineUnreachable:
            raise
        except ProviderUnavailable as error:  # tried again in the next run; go on with the others
            log.warning("container_not_started", replica=replica.name, reason=error.message)
    return True


async def _may_start(resources: Resources, engine: Engine, seen: LiveRelease, alone: WorkloadRef | None) -> bool:
    """Check right before each start, since earlier ones took time: still live, and no other release beside `alone`."""
    async with resources.db.read() as session:
        same = select(LiveRelease.id).where(
            LiveRelease.id == seen.id, LiveRelease.deployment_id == seen.deployment_id,
            LiveRelease.service_id.not_in(_recreated()), LiveRelease.service_id.not_in(_owing()),
        )  # fmt: skip
        if await session.scalar(same) is None:
            return False
    if alone is None:
        return True
    found = await engine.observe({"orca.service": seen.service_id})
    return not any(
        replica.state == "running" and replica.labels.get("orca.deployment") != alone.id for replica in found
    )


async def _redeploy(resources: Resources, seen: LiveRelease, missing: int) -> None:
    """Restart the live release by a deployment, which is as safe as any other; failed attempts lengthen the pause.

    Starting containers takes a while: a stop, deletion or deployment of the service in the meantime takes precedence.
    """
    busy = select(Deployment.service_id).where(Deployment.state.in_(rules.ACTIVE))
    still_wanted = (
        select(Service).join(LiveRelease, LiveRelease.service_id == Service.id)
        .where(Service.desired_state == "running", Service.deleted_at.is_(None), Service.id.not_in(busy))
        .where(LiveRelease.id == seen.id, LiveRelease.deployment_id == seen.deployment_id)
    )  # fmt: skip
    try:
        async with resources.db.write() as session:
            service = await session.scalar(still_wanted.with_for_update(of=Service))
            if service is not None:
                await _restart_unless_paused(session, resources, service, missing)
    except Conflict as error:  # its volume was destroyed: go on with the other services
        log.warning("service_not_revived", service=seen.service_id, reason=error.message)


async def _restart_unless_paused(session: AsyncSession, resources: Resources, service: Service, missing: int) -> None:
    failed = await _list_failed(session, service.id)
    ended = failed[0].finished_at if failed else None
    if ended is not None and now() < ended + pause_after(len(failed)):
        return
    log.warning("service_revived", service=service.slug, missing=missing, failures=len(failed))
    await start_deployment(session, resources, service, DeploymentRequest(kind="restart", trigger="system"))
    if len(failed) == 1:  # once per series of failures, which a success or a requested deployment ends
        await _tell_not_revived(session, service, failed[0])


async def _list_failed(session: AsyncSession, service_id: str) -> Sequence[Deployment]:
    """List the failed automatic restarts of a service since its last successful or user-requested deployment.

    Newest first, and no more than `MOST_FAILURES`: more would not lengthen the pause.
    """
    newest = select(Deployment).where(Deployment.service_id == service_id).order_by(Deployment.number.desc())
    last = (await session.scalars(newest.limit(MOST_FAILURES))).all()
    return last[: count_failures([(deployment.trigger, deployment.state) for deployment in last])]


def count_failures(newest_first: Sequence[tuple[str, str]]) -> int:
    """Count Orca's own failed attempts in a row, from (trigger, state) of the last deployments of a service.

    A deployment that a user requested, and one that succeeds, ends the series.
    """
    tries = takewhile(lambda attempt: attempt[0] == "system" and attempt[1] in {"failed", "cancelled"}, newest_first)
    return len(list(tries))


def pause_after(failures: int) -> timedelta:
    """Return the pause before the next attempt; zero when nothing failed."""
    if failures == 0:
        return timedelta()
    return growing_pause(failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE)


async def _tell_not_revived(session: AsyncSession, service: Service, failed: Deployment) -> None:
    payload = {"service": service.slug, "number": failed.number, "deployment_id": failed.id, "code": failed.code}
    await record(session, Fact("ServiceNotRevived", service.team_id, "service", service.id, payload, "failed"))


async def _tell_about_crash_loops(resources: Resources, replicas: list[Replica]) -> None:
    """Record each crash loop once per release, with exit code and cause as far as they are known."""
    for replica in replicas:
        service_id, release_id = replica.labels.get("orca.service", ""), replica.labels.get("orca.release", "")
        async with resources.db.write() as session:
            service = await session.get(Service, service_id)
            seen = select(Event.seq).where(Event.type == "ServiceCrashLooping", Event.object_id == service_id)
            told = [
                row.payload.get("release_id")
                for row in await session.scalars(
                    select(Event).where(Event.seq.in_(seen)).order_by(Event.seq.desc()).limit(5)
                )
            ]
            if service is None or release_id in told:
                continue
            payload = {"release_id": release_id, "restarts": replica.restarts, "exit_code": replica.exit_code,
                       "out_of_memory": replica.out_of_memory}  # fmt: skip
            await record(
                session, Fact("ServiceCrashLooping", service.team_id, "service", service_id, payload, "failed")
            )
