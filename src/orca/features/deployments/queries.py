"""Reads of deployments, releases and logs."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, String, cast, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database
from orca.db.pages import read_page
from orca.errors import NotFound
from orca.events import notifier
from orca.features.deployments.models import Build, Deployment, DeploymentStep, LiveRelease, LogChunk, Release
from orca.features.deployments.rules import ACTIVE, FINISHED, WorkloadRef, differs, maker_of
from orca.features.services.models import Service
from orca.features.services.queries import select_scope
from orca.features.services.schemas.settings import FrozenConfig
from orca.instance.tombstones import list_buried
from orca.kit.pagination import Page, PageRequest
from orca.sdk.workloads import Replica
from orca.systems import LOCAL
from orca.tasks.queries import explain_waiting
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

Numbered = TypeVar("Numbered", Deployment, Release)
_FIRST_PAGE = PageRequest()
LOG_BATCH = 64
KEEP_IMAGES = 4
"""How many of the last images with traffic are kept: the live one and the rollback candidates."""
POLL_SECONDS = 1.0
_IDS_AT_ONCE = 500


async def get_deployment(session: AsyncSession, scope: Scope, deployment_id: str) -> Deployment:
    """Return a deployment of the scope's team."""
    row = await session.get(Deployment, deployment_id)
    if row is None or row.team_id != scope.team_id:
        raise NotFound("there is no deployment with this id")
    return row


def has_deployed(scope: Scope) -> ColumnElement[bool]:
    """Whether a release of the team was ever live."""
    return exists().where(Release.team_id == scope.team_id, Release.went_live_at.is_not(None))


async def find_deployment_scope(session: AsyncSession, deployment_id: str) -> ObjectScope | None:
    """Return where a deployment belongs: where its service does."""
    query = select_scope().join(Deployment, Deployment.service_id == Service.id).where(Deployment.id == deployment_id)
    return await find_scope(session, query)


async def list_deployments(
    session: AsyncSession, scope: Scope, service_id: str, wanted: PageRequest = _FIRST_PAGE
) -> Page[Deployment]:
    """List the deployments of one service, newest first."""
    query = select(Deployment).where(Deployment.team_id == scope.team_id, Deployment.service_id == service_id)
    return await read_page(session, query, Deployment, wanted, by=Deployment.number)


async def list_team_deployments(session: AsyncSession, scope: Scope, wanted: PageRequest) -> Page[Deployment]:
    """List the deployments of all services, newest first."""
    query = select(Deployment).where(Deployment.team_id == scope.team_id)
    query = query.join(Service, Service.id == Deployment.service_id)
    columns = {"project_id": Service.project_id}
    return await read_page(session, query, Deployment, wanted, by=Deployment.seq, columns=columns)


async def list_releases(
    session: AsyncSession, scope: Scope, service_id: str, wanted: PageRequest = _FIRST_PAGE
) -> Page[Release]:
    """List the releases of a service, newest first."""
    query = select(Release).where(Release.team_id == scope.team_id, Release.service_id == service_id)
    return await read_page(session, query, Release, wanted, by=Release.number)


async def list_steps(session: AsyncSession, deployment_id: str) -> Sequence[DeploymentStep]:
    """List the steps of a deployment in order."""
    query = select(DeploymentStep).where(DeploymentStep.deployment_id == deployment_id)
    return (await session.scalars(query.order_by(DeploymentStep.position))).all()


async def find_last_builder(session: AsyncSession, service_id: str) -> str:
    """Return the builder of a service's newest image; empty when none was built yet."""
    built = select(Build.builder).where(Build.service_id == service_id, Build.state == "succeeded")
    return await session.scalar(built.order_by(Build.seq.desc()).limit(1)) or ""


async def find_live(session: AsyncSession, service_id: str) -> LiveRelease | None:
    """Return the live release of a service; None when none ever was."""
    return await session.scalar(select(LiveRelease).where(LiveRelease.service_id == service_id))


async def find_workload(session: AsyncSession, service_id: str) -> WorkloadRef | None:
    """Return the workload of a service's live release; of a stopped service, the one that ran before."""
    live = await find_live(session, service_id)
    deployment = await session.get(Deployment, live.deployment_id) if live else None
    return deployment.workload if deployment else None


async def list_workloads(session: AsyncSession, *conditions: ColumnElement[bool]) -> dict[str, WorkloadRef]:
    """Map service ids to the workload of their live release; `conditions` choose among services."""
    replicas = func.coalesce(Deployment.config["replicas"].as_integer(), 1)
    query = select(Service.id, func.coalesce(Deployment.workload_id, Deployment.id), replicas)
    query = query.join(LiveRelease, LiveRelease.service_id == Service.id)
    query = query.join(Deployment, Deployment.id == LiveRelease.deployment_id).where(*conditions)
    return {service_id: WorkloadRef(*wanted) for service_id, *wanted in await session.execute(query)}


def owes_volumes() -> ColumnElement[bool]:
    """Select failed deployments that changed the owners of volumes and have not restored all of them."""
    came_to_nothing = Deployment.state.in_(("failed", "cancelled"))
    return came_to_nothing & (cast(Deployment.former_owners, String) != "{}")


async def list_busy_services(session: AsyncSession, scope: Scope) -> set[str]:
    """Return the ids of services with a queued or running deployment."""
    query = select(Deployment.service_id).where(Deployment.team_id == scope.team_id, Deployment.state.in_(ACTIVE))
    return set((await session.scalars(query)).all())


async def list_never_live(session: AsyncSession, scope: Scope) -> set[str]:
    """Return the ids of services with a failed deployment and no release that ever went live."""
    query = select(Deployment.service_id).where(Deployment.team_id == scope.team_id, Deployment.state == "failed")
    live = select(LiveRelease.service_id).where(LiveRelease.team_id == scope.team_id)
    return set((await session.scalars(query.where(Deployment.service_id.not_in(live)).distinct())).all())


async def find_build(session: AsyncSession, build_id: str | None) -> Build | None:
    """Return a build by id, or None."""
    return await session.get(Build, build_id) if build_id else None


async def find_release(session: AsyncSession, release_id: str | None) -> Release | None:
    """Return a release by id, or None."""
    return await session.get(Release, release_id) if release_id else None


async def find_rollback_release(session: AsyncSession, service_id: str, number: int | None) -> Release | None:
    """Return the release of that number, or the newest older one that was healthy and differs in more than replicas."""
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
        if differs(release.image, complete_config(release), current.image, complete_config(current)):
            return release
    return None


async def list_offered_releases(session: AsyncSession, service_id: str) -> list[Release]:
    """List the live release and the rollback candidates: the newest release of each of the last images with traffic."""
    live = await find_live(session, service_id)
    current = await find_release(session, live.release_id if live else None)
    back = await find_rollback_release(session, service_id, None)
    served = select(func.max(Release.number)).where(Release.service_id == service_id, Release.went_live_at.is_not(None))
    newest = served.group_by(Release.image).order_by(func.max(Release.number).desc()).limit(KEEP_IMAGES)
    numbers = (await session.scalars(newest)).all()
    rows = await session.scalars(select(Release).where(Release.service_id == service_id, Release.number.in_(numbers)))
    return list({row.id: row for row in (current, back, *rows) if row is not None}.values())


async def find_system(session: AsyncSession, service_id: str) -> str:
    """Return the machine that the live release of a service runs on, else the one it is to run on."""
    query = select(Deployment.config).join(LiveRelease, LiveRelease.deployment_id == Deployment.id)
    config = await session.scalar(query.where(LiveRelease.service_id == service_id))
    if config is not None:
        return str(config.get("system", LOCAL))
    return await session.scalar(select(Service.system_id).where(Service.id == service_id)) or LOCAL


def complete_config(release: Release) -> dict[str, Any]:
    """Return the configuration of a release, with defaults for fields that an earlier Orca did not freeze."""
    return FrozenConfig.model_validate(release.config).model_dump(mode="json")


async def read_log(session: AsyncSession, deployment_id: str, *, after: int = 0) -> Sequence[LogChunk]:
    """Return up to 64 chunks from an offset on."""
    query = select(LogChunk).where(LogChunk.deployment_id == deployment_id, LogChunk.offset >= after)
    return (await session.scalars(query.order_by(LogChunk.offset).limit(LOG_BATCH))).all()


async def find_log_end(db: Database, scope: Scope, deployment_id: str) -> int:
    """Return the offset after the last stored character."""
    query = select(LogChunk.offset + func.length(LogChunk.text)).where(LogChunk.deployment_id == deployment_id)
    async with db.read(scope.team_id, scope.reach) as session:
        return await session.scalar(query.order_by(LogChunk.offset.desc()).limit(1)) or 0


async def follow_log(
    db: Database, scope: Scope, deployment_id: str, *, after: int = 0
) -> AsyncIterator[LogChunk | str]:
    """Yield chunks as they are stored, and finally the state in which the deployment ended."""
    while True:
        seen_version = notifier.version
        async with db.read(scope.team_id, scope.reach) as session:
            state = await session.scalar(select(Deployment.state).where(Deployment.id == deployment_id))
            chunks = await read_log(session, deployment_id, after=after)
        for chunk in chunks:
            after = chunk.offset + len(chunk.text)
            yield chunk
        if not chunks:
            if state is None or state in FINISHED:
                yield state or "gone"
                return
            await notifier.wait(POLL_SECONDS, seen_version=seen_version)


async def stream_kept_log(db: Database, scope: Scope, deployment_id: str, *, after: int = 0) -> AsyncIterator[str]:
    """Yield the stored text of a log, with a line where its middle was dropped or all of it removed."""
    async with db.read(scope.team_id, scope.reach) as session:
        if removed := await explain_no_log(session, deployment_id):
            yield removed
            return
    while True:
        async with db.read(scope.team_id, scope.reach) as session:
            chunks = await read_log(session, deployment_id, after=after)
        if not chunks:
            return
        for chunk in chunks:
            if chunk.offset > after:
                yield f"… {chunk.offset - after} characters left out …\n"
            yield chunk.text
            after = chunk.offset + len(chunk.text)


async def explain_no_log(session: AsyncSession, deployment_id: str) -> str:
    """Return a line to show in place of a removed log; empty while the log exists."""
    at = await session.scalar(select(Deployment.log_removed_at).where(Deployment.id == deployment_id))
    return f"The log was removed on {at:%Y-%m-%d}: it had been kept for ORC_KEEP_LOG_DAYS.\n" if at else ""


async def find_last_build(session: AsyncSession, service_id: str) -> Build | None:
    """Return the newest build of a service that made an image."""
    query = select(Build).where(Build.service_id == service_id, Build.state == "succeeded")
    return await session.scalar(query.order_by(Build.seq.desc()).limit(1))


async def has_built(session: AsyncSession, scope: Scope, image: str) -> bool:
    """Whether a build of the team made or fetched this very image."""
    query = select(Build.id).where(Build.team_id == scope.team_id, Build.image == image, Build.state == "succeeded")
    return await session.scalar(query.limit(1)) is not None


async def list_unknown(session: AsyncSession, replicas: Iterable[Replica]) -> set[str]:
    """Return the deployments of these containers that have no row and are not recorded as deleted.

    A container is created after its deployment was committed, so an unknown one means that this database was
    exchanged, restored or emptied since.
    """
    services = {maker: replica.labels.get("orca.service", "") for replica in replicas if (maker := maker_of(replica))}
    unknown = set(services)
    for start in range(0, len(services), _IDS_AT_ONCE):
        some = list(services)[start : start + _IDS_AT_ONCE]
        unknown -= set((await session.scalars(select(Deployment.id).where(Deployment.id.in_(some)))).all())
    if not unknown:
        return unknown
    unknown -= await list_buried(session, "deployment", unknown)
    deleted = select(Service.id).where(Service.deleted_at.is_not(None))
    gone = set((await session.scalars(deleted.where(Service.id.in_({services[image] for image in unknown})))).all())
    return {image for image in unknown if services[image] not in gone}


async def explain_wait(session: AsyncSession, row: Deployment) -> str:
    """Return why the task of an unfinished deployment does not run at present; empty when it does."""
    if row.task_id is None or row.state not in ACTIVE:
        return ""
    return (await explain_waiting(session, [row.task_id])).get(row.task_id, "")


async def names_of(session: AsyncSession, deployment: Deployment) -> dict[str, str | int | None]:
    """Return the names of a deployment that every event about it carries."""
    service = await session.get_one(Service, deployment.service_id)
    return {"service": service.slug, "number": deployment.number, "deployment_id": deployment.id}
