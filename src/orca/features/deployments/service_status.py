"""Reads the status of a service: its settings compared with those of its live release, and the last failure."""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from orca.errors import BadInput
from orca.features.deployments.models import Build, Deployment, LiveRelease, Release
from orca.features.deployments.queries import find_workload
from orca.features.deployments.rules import ACTIVE
from orca.features.services.actions.freeze import StoredConfig, read_config
from orca.features.services.comparison import compare_builds, compare_configs, compare_sources
from orca.features.services.models import Service
from orca.features.services.orca_file import merge, parse_orca_file
from orca.features.services.privileges import list_wanted
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig
from orca.features.services.service_status import Failure, ServiceStatus


class Frozen(NamedTuple):
    """The live release, the build of its image, and the deployment that froze its configuration."""

    release: Release
    build: Build | None
    deployment: Deployment | None


async def read_status(session: AsyncSession, service: Service) -> ServiceStatus:
    """Read the status in a few short queries: deployments, live release, variables and volumes."""
    newest = select(Deployment).where(Deployment.service_id == service.id, Deployment.kind != "build")
    last = await session.scalar(newest.order_by(Deployment.number.desc()).limit(1))
    frozen = await _find_frozen(session, service.id)
    is_coming = last is not None and last.kind == "deploy" and last.state in ACTIVE
    pending = [] if frozen is None or is_coming else await _list_pending(session, service, frozen)
    return ServiceStatus(frozen.release.id if frozen else "", pending=tuple(pending), failure=_failure(last))


def _failure(last: Deployment | None) -> Failure | None:
    if last is None or last.state != "failed":
        return None
    return Failure(f"{last.kind.capitalize()} #{last.number} failed", last.reason, last.hint, f"/deployments/{last.id}")


async def _find_frozen(session: AsyncSession, service_id: str) -> Frozen | None:
    other, maker = aliased(Deployment), aliased(Deployment)
    first = select(func.min(maker.seq)).where(maker.service_id == service_id, maker.release_id == Release.id)
    made = (other.build_id == Release.build_id) & (other.seq <= first.correlate(Release).scalar_subquery())
    froze = select(func.max(other.seq)).where(
        other.service_id == service_id, other.kind == "deploy", made | (other.release_id == Release.id)
    )
    query = (
        select(Release, Build, Deployment)
        .join(LiveRelease, LiveRelease.release_id == Release.id)
        .outerjoin(Build, Build.id == Release.build_id)
        .outerjoin(Deployment, Deployment.seq == froze.correlate(Release).scalar_subquery())
        .where(LiveRelease.service_id == service_id)
    )
    row = (await session.execute(query)).first()
    return None if row is None else Frozen(*row)


async def _list_pending(session: AsyncSession, service: Service, frozen: Frozen) -> list[str]:
    stored = await read_config(session, service)
    build = BuildOptions.model_validate(service.build)
    config, build = _as_deployed(stored.config, build, frozen.build)
    changed = _list_changed(stored, frozen)
    live = FrozenConfig.model_validate(frozen.release.config)
    if workload := await find_workload(session, service.id):
        live = live.model_copy(update={"replicas": workload.replicas})
    taken_back = [privilege for privilege in list_wanted(config.runtime) if privilege not in service.privileges]
    pending = [*compare_configs(config, live, changed), *(f"{lost} not granted" for lost in taken_back)]
    if frozen.deployment is None:
        return pending
    deployed = BuildOptions.model_validate(frozen.deployment.config.get("build", {}))
    return [*compare_sources(service.source, frozen.deployment.source), *compare_builds(build, deployed), *pending]


def _list_changed(stored: StoredConfig, frozen: Frozen) -> set[str]:
    """Return the keys of secret variables set since then; deployments of an earlier Orca are compared by time only."""
    if frozen.deployment is not None and frozen.deployment.secret_revisions:
        known = frozen.deployment.secret_revisions
        return {key for key, revision in stored.secret_revisions.items() if known.get(key) not in {None, revision}}
    since = frozen.deployment.created_at if frozen.deployment else frozen.release.created_at
    return {key for key, moment in stored.secrets_changed_at.items() if moment > since}


def _as_deployed(config: FrozenConfig, options: BuildOptions, build: Build | None) -> tuple[FrozenConfig, BuildOptions]:
    """Merge the current settings with the live source's `orca.yaml`, as a deployment would freeze them."""
    if build is None:
        return config, options
    if build.orca_file:
        try:
            config, options = merge(config, options, parse_orca_file(build.orca_file))
        except BadInput:  # not compatible with the current settings: a deployment would report it
            return config, options
    return (config.listen_on(build.port) if build.port else config), options
