"""Retention: deletes old logs first, then old deployments with the builds and releases that only they used."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.features.deployments.actions.resolve_release import lock_service
from orca.features.deployments.models import Build, Deployment, LiveRelease, LogChunk, Release
from orca.features.deployments.queries import list_offered_releases, owes_volumes
from orca.features.deployments.rules import ACTIVE, FINISHED, FinishedDeployment, choose_forgotten
from orca.features.secrets.actions import delete_secrets_of_all
from orca.features.services.models import Service
from orca.instance.tombstones import bury
from orca.resources import Resources

log = structlog.get_logger("orca.deployments")
BATCH = 50
"""Deployments in one transaction: SQLite has one writer."""
_LOGS_AT_ONCE = 10
"""A log has up to a MiB."""


async def forget_past(resources: Resources, *, batch: int = BATCH) -> None:
    """Delete what is older than the `ORC_KEEP_*` settings allow; the live release and rollback candidates stay."""
    keep = resources.settings.keep
    logs = await _forget_logs(resources, now() - timedelta(days=min(keep.log_days, keep.deployment_days)))
    before = now() - timedelta(days=keep.deployment_days)
    old = select(Deployment.service_id).where(Deployment.state.in_(FINISHED), Deployment.finished_at < before)
    async with resources.db.read() as session:
        service_ids = (await session.scalars(old.distinct())).all()
    deployments = 0
    for service_id in service_ids:
        while gone := await _forget_some(resources, service_id, before, batch):
            deployments += gone
    if logs or deployments:
        log.info("past_forgotten", logs=logs, deployments=deployments)


async def _forget_logs(resources: Resources, before: datetime) -> int:
    """Delete the logs of finished deployments that are not live, and mark the deployments: `log_removed_at`."""
    live = select(LiveRelease.deployment_id)
    has_log = select(LogChunk.id).where(LogChunk.deployment_id == Deployment.id).exists()
    old = select(Deployment.id).where(
        Deployment.state.in_(FINISHED), Deployment.finished_at < before, Deployment.id.not_in(live), has_log
    )
    total = 0
    while True:
        async with resources.db.write() as session:
            ids = (await session.scalars(old.limit(_LOGS_AT_ONCE))).all()
            await session.execute(delete(LogChunk).where(LogChunk.deployment_id.in_(ids)))
            await session.execute(update(Deployment).where(Deployment.id.in_(ids)).values(log_removed_at=now()))
        total += len(ids)
        if not ids:
            return total


async def _forget_some(resources: Resources, service_id: str, before: datetime, batch: int) -> int:
    """Delete the oldest deployments of a service that are not needed, and the rows that only they referred to."""
    newest = resources.settings.keep.deployments
    async with resources.db.read() as session:  # usually there is nothing to do: find out without a lock
        service = await session.get_one(Service, service_id)
        offered = await _list_offered(session, service)
        if not await _choose(session, service, offered, newest, before):
            return 0
    async with resources.db.write() as session:
        service = await lock_service(session, service_id)
        offered = await _list_offered(session, service)
        chosen = (await _choose(session, service, offered, newest, before))[:batch]
        await _delete_deployments(session, chosen)
        await _delete_releases(session, service, {row.id for row in offered}, before)
        await _delete_builds(session, service, before)
    return len(chosen)


async def _list_offered(session: AsyncSession, service: Service) -> list[Release]:
    return [] if service.deleted_at else await list_offered_releases(session, service.id)


async def _choose(
    session: AsyncSession, service: Service, offered: Sequence[Release], newest: int, before: datetime
) -> list[str]:
    """Return the deployments to delete; of a deleted service, all that are old enough."""
    past, needed = await _list_past(session, service.id), await _list_needed(session, service.id)
    pairs = [(row.id, row.build_id) for row in offered]
    return choose_forgotten(past, needed, pairs, 0 if service.deleted_at else newest, before)


async def _list_past(session: AsyncSession, service_id: str) -> list[FinishedDeployment]:
    columns = (Deployment.id, Deployment.number, Deployment.kind, Deployment.state, Deployment.finished_at,
               Deployment.release_id, Deployment.build_id)  # fmt: skip
    rows = await session.execute(select(*columns).where(Deployment.service_id == service_id))
    return [FinishedDeployment(*row) for row in rows]


async def _list_needed(session: AsyncSession, service_id: str) -> set[str]:
    """Return the ids of deployments that must stay.

    These are the live one, the one that created the first of its containers, those that unfinished deployments would
    go back to, and those that have not given back all volumes.
    """
    live = select(LiveRelease.deployment_id).where(LiveRelease.service_id == service_id)
    workload = select(Deployment.workload_id).where(Deployment.id.in_(live), Deployment.workload_id.is_not(None))
    previous = select(Deployment.previous_deployment_id).where(
        Deployment.service_id == service_id, Deployment.state.in_(ACTIVE),
        Deployment.previous_deployment_id.is_not(None),
    )  # fmt: skip
    owing = select(Deployment.id).where(Deployment.service_id == service_id, owes_volumes())
    return {str(row) for query in (live, workload, previous, owing) for row in await session.scalars(query)}


async def _delete_deployments(session: AsyncSession, ids: Sequence[str]) -> None:
    """Delete deployments with their steps and logs, and record the deletion: a container that is left is then known."""
    await bury(session, "deployment", ids)
    await delete_secrets_of_all(session, "deployment", ids)
    await session.execute(delete(Deployment).where(Deployment.id.in_(ids)))


async def _delete_releases(session: AsyncSession, service: Service, offered: Collection[str], before: datetime) -> None:
    """Delete releases that no deployment refers to. The newest stays, because the next number is counted from it."""
    other = select(Deployment.release_id).where(Deployment.service_id == service.id, Deployment.release_id.is_not(None))
    previous = select(Deployment.previous_release_id).where(
        Deployment.service_id == service.id, Deployment.previous_release_id.is_not(None), Deployment.state.in_(ACTIVE)
    )
    unused = select(Release.id).where(
        Release.service_id == service.id, Release.id.not_in(other), Release.id.not_in(previous),
        Release.id.not_in(offered), Release.id.not_in(select(LiveRelease.release_id)), Release.created_at < before,
    )  # fmt: skip
    if service.deleted_at is None:
        newest = select(func.max(Release.number)).where(Release.service_id == service.id).scalar_subquery()
        unused = unused.where(Release.number < newest)
    ids = (await session.scalars(unused)).all()
    await delete_secrets_of_all(session, "release", ids)
    await session.execute(delete(Release).where(Release.id.in_(ids)))


async def _delete_builds(session: AsyncSession, service: Service, before: datetime) -> None:
    """Delete builds that nothing refers to, except the last successful one, which the next build reads."""
    used = (
        select(table.build_id).where(table.service_id == service.id, table.build_id.is_not(None))
        for table in (Deployment, Release)
    )
    unused = select(Build.id).where(Build.service_id == service.id, Build.created_at < before)
    for query in used:
        unused = unused.where(Build.id.not_in(query))
    if service.deleted_at is None:
        made = select(func.max(Build.seq)).where(Build.service_id == service.id, Build.state == "succeeded")
        last = func.coalesce(made.scalar_subquery(), 0)
        unused = unused.where(or_(Build.state != "succeeded", Build.seq < last))
    ids = (await session.scalars(unused)).all()
    await bury(session, "build", ids)
    await session.execute(delete(Build).where(Build.id.in_(ids)))
