"""Reads of deployments, releases and logs."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database
from orca.errors import NotFound
from orca.events import bell
from orca.features.deployments.models import Build, Deployment, DeploymentStep, LiveRelease, LogChunk, Release
from orca.features.deployments.rules import ACTIVE, FINISHED, differs
from orca.features.services.models import Service
from orca.features.services.schemas import FrozenConfig
from orca.instance.tombstones import list_buried
from orca.kit.pagination import Page, cut_page
from orca.sdk.engines import Container
from orca.tasks.queries import explain_waiting
from orca.web.guard import Scope, tenant_resolver

Numbered = TypeVar("Numbered", Deployment, Release)
LOG_BATCH = 64
POLL_SECONDS = 1.0
_IDS_AT_ONCE = 500


async def get_deployment(session: AsyncSession, scope: Scope, deployment_id: str) -> Deployment:
    """A deployment of the scope's team."""
    row = await session.get(Deployment, deployment_id)
    if row is None or row.team_id != scope.team_id:
        raise NotFound("there is no deployment with this id")
    return row


@tenant_resolver("deployment_id")
async def find_deployment_team(session: AsyncSession, deployment_id: str) -> str | None:
    """Whose deployment it is."""
    return await session.scalar(select(Deployment.team_id).where(Deployment.id == deployment_id))


async def list_deployments(
    session: AsyncSession, scope: Scope, service_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Deployment]:
    """Newest first."""
    return await _newest_first(session, Deployment, scope, service_id, limit, cursor)


async def list_releases(
    session: AsyncSession, scope: Scope, service_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Release]:
    """Newest first."""
    return await _newest_first(session, Release, scope, service_id, limit, cursor)


async def _newest_first(
    session: AsyncSession, table: type[Numbered], scope: Scope, service_id: str, limit: int, cursor: str | None
) -> Page[Numbered]:
    query = select(table).where(table.team_id == scope.team_id, table.service_id == service_id)
    if cursor is not None:
        query = query.where(table.id < cursor)
    rows = (await session.scalars(query.order_by(table.id.desc()).limit(limit + 1))).all()
    items, next_cursor = cut_page(list(rows), limit)
    return Page[table].model_construct(items=items, next_cursor=next_cursor)  # type: ignore[valid-type]  # bound to the argument


async def list_steps(session: AsyncSession, deployment_id: str) -> Sequence[DeploymentStep]:
    """In order."""
    query = select(DeploymentStep).where(DeploymentStep.deployment_id == deployment_id)
    return (await session.scalars(query.order_by(DeploymentStep.position))).all()


async def find_last_builder(session: AsyncSession, service_id: str) -> str:
    """Who made the newest image of a service; empty when none was built yet."""
    built = select(Build.builder).where(Build.service_id == service_id, Build.state == "succeeded")
    return await session.scalar(built.order_by(Build.id.desc()).limit(1)) or ""


async def find_live(session: AsyncSession, service_id: str) -> LiveRelease | None:
    """Which release of a service is live; None when none ever was."""
    return await session.scalar(select(LiveRelease).where(LiveRelease.service_id == service_id))


async def list_live(session: AsyncSession, scope: Scope) -> dict[str, tuple[str, int]]:
    """Service id -> deployment that made its release live, and how many replicas that release wants."""
    wanted = func.coalesce(Release.config["replicas"].as_integer(), 1)
    query = select(LiveRelease.service_id, LiveRelease.deployment_id, wanted)
    query = query.join(Release, Release.id == LiveRelease.release_id).where(LiveRelease.team_id == scope.team_id)
    rows = await session.execute(query)
    return {service_id: (deployment_id, replicas) for service_id, deployment_id, replicas in rows}


async def list_busy_services(session: AsyncSession, scope: Scope) -> set[str]:
    """Ids of services with a deployment that waits or runs."""
    query = select(Deployment.service_id).where(Deployment.team_id == scope.team_id, Deployment.state.in_(ACTIVE))
    return set((await session.scalars(query)).all())


async def list_never_live(session: AsyncSession, scope: Scope) -> set[str]:
    """Ids of services with a failed deployment, and none that ever went live."""
    query = select(Deployment.service_id).where(Deployment.team_id == scope.team_id, Deployment.state == "failed")
    live = select(LiveRelease.service_id).where(LiveRelease.team_id == scope.team_id)
    return set((await session.scalars(query.where(Deployment.service_id.not_in(live)).distinct())).all())


async def find_build(session: AsyncSession, build_id: str | None) -> Build | None:
    """A build by id, where there is one."""
    return await session.get(Build, build_id) if build_id else None


async def find_release(session: AsyncSession, release_id: str | None) -> Release | None:
    """A release by id, where there is one."""
    return await session.get(Release, release_id) if release_id else None


async def find_rollback_release(session: AsyncSession, service_id: str, number: int | None) -> Release | None:
    """The release of that number, or the newest older one that was healthy and differs in more than replicas."""
    query = select(Release).where(Release.service_id == service_id)
    if number is not None:
        return await session.scalar(query.where(Release.number == number))
    live = await find_live(session, service_id)
    current = await find_release(session, live.release_id if live else None)
    if current is None:
        return None
    older = query.where(Release.number < current.number, Release.went_live_at.is_not(None))
    newest_first = await session.stream_scalars(older.order_by(Release.number.desc()))
    async for release in newest_first:
        if differs(release.image, _complete(release), current.image, _complete(current)):
            return release
    return None


def _complete(release: Release) -> dict[str, Any]:
    """Its configuration, with what releases did not say yet when they were frozen by an earlier Orca."""
    return FrozenConfig.model_validate(release.config).model_dump(mode="json")


async def read_log(session: AsyncSession, deployment_id: str, *, after: int = 0) -> Sequence[LogChunk]:
    """Up to 64 chunks from an offset on."""
    query = select(LogChunk).where(LogChunk.deployment_id == deployment_id, LogChunk.offset >= after)
    return (await session.scalars(query.order_by(LogChunk.offset).limit(LOG_BATCH))).all()


async def read_log_end(session: AsyncSession, deployment_id: str, *, lines: int) -> Sequence[LogChunk]:
    """Chunks that hold at least the last lines, in order; every chunk has a line, and the whole log has a limit."""
    query = select(LogChunk).where(LogChunk.deployment_id == deployment_id)
    return (await session.scalars(query.order_by(LogChunk.offset.desc()).limit(lines))).all()[::-1]


async def follow_log(db: Database, deployment_id: str, *, after: int = 0) -> AsyncIterator[LogChunk | str]:
    """Chunks as they are written; at last the state in which the deployment ended."""
    while True:
        heard = bell.rung
        async with db.read() as session:
            state = await session.scalar(select(Deployment.state).where(Deployment.id == deployment_id))
            chunks = await read_log(session, deployment_id, after=after)
        for chunk in chunks:
            after = chunk.offset + len(chunk.text)
            yield chunk
        if not chunks:
            if state is None or state in FINISHED:
                yield state or "gone"
                return
            await bell.wait(POLL_SECONDS, heard=heard)


async def stream_kept_log(db: Database, deployment_id: str, *, after: int = 0) -> AsyncIterator[str]:
    """The text of a log as far as it is written, with a note where its middle was dropped."""
    while True:
        async with db.read() as session:
            chunks = await read_log(session, deployment_id, after=after)
        if not chunks:
            return
        for each in chunks:
            if each.offset > after:
                yield f"… {each.offset - after} characters left out …\n"
            yield each.text
            after = each.offset + len(each.text)


async def find_last_build(session: AsyncSession, service_id: str) -> Build | None:
    """The newest build of a service that made an image."""
    query = select(Build).where(Build.service_id == service_id, Build.state == "succeeded")
    return await session.scalar(query.order_by(Build.id.desc()).limit(1))


async def list_unknown(session: AsyncSession, containers: Iterable[Container]) -> set[str]:
    """Deployments whose containers are there, that are in no row, and whose end is not on record.

    A container is made after its deployment was committed, so this database was exchanged, restored or emptied since.
    """
    labels = [each.labels for each in containers if each.labels.get("orca.deployment")]
    services = {each["orca.deployment"]: each.get("orca.service", "") for each in labels}
    unknown = set(services)
    for start in range(0, len(services), _IDS_AT_ONCE):
        some = list(services)[start : start + _IDS_AT_ONCE]
        unknown -= set((await session.scalars(select(Deployment.id).where(Deployment.id.in_(some)))).all())
    if not unknown:
        return unknown
    unknown -= await list_buried(session, "deployment", unknown)
    deleted = select(Service.id).where(Service.deleted_at.is_not(None))
    gone = set((await session.scalars(deleted.where(Service.id.in_({services[each] for each in unknown})))).all())
    return {each for each in unknown if services[each] not in gone}


async def explain_wait(session: AsyncSession, row: Deployment) -> str:
    """Why the task of an unfinished deployment does not run at present; empty when it does."""
    if row.task_id is None or row.state not in ACTIVE:
        return ""
    return (await explain_waiting(session, [row.task_id])).get(row.task_id, "")
