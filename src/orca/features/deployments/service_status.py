"""Reads the status of a service: its settings compared with those of its live release, and the last failure."""

import json
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from orca.errors import BadInput
from orca.features.deployments.models import Build, Deployment, LiveRelease, Release
from orca.features.deployments.observer import Survey, last_survey
from orca.features.deployments.queries import list_workloads
from orca.features.deployments.rules import ACTIVE, ServiceState, WorkloadRef, state_of
from orca.features.deployments.states import observe
from orca.features.routing.queries import list_addresses
from orca.features.services.actions.freeze import StoredConfig, read_config
from orca.features.services.comparison import (
    ConfigChange,
    Difference,
    compare_builds,
    compare_configs,
    compare_sources,
    compare_variables,
)
from orca.features.services.models import Service
from orca.features.services.orca_file import merge, parse_orca_file
from orca.features.services.privileges import list_wanted
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig
from orca.features.services.service_status import Failure, LastDeployment, ServiceStatus
from orca.resources import Resources

_NOTES: Final = {"unreachable": "does not lead here yet", "awaiting_certificate": "waits for a certificate"}
"""The condition of an address -> what a visitor should know; nothing where the service answers."""


class Frozen(NamedTuple):
    """The live release, the build of its image, and the deployment that froze its configuration."""

    release: Release
    build: Build | None
    deployment: Deployment | None


class ReleaseDifference(NamedTuple):
    """What differs from the live release: in the stored settings, or in the release to go back to."""

    live: Release | None
    target: Release | None
    changes: list[ConfigChange]
    variables: dict[str, Difference]
    revision: str = ""
    """Of what waits: changes with every edit of the settings and variables, and with the live release."""

    @property
    def lines(self) -> list[str]:
        """The differences in words."""
        return [change.text for change in self.changes]


class Sides(NamedTuple):
    """What the next deployment would freeze, as far as it is known before it begins, and what the live release has."""

    stored: StoredConfig
    config: FrozenConfig
    build: BuildOptions
    live: FrozenConfig
    """With the replicas that are wanted now."""
    changed_secrets: set[str]
    revision: str


_NOTHING: Final = ReleaseDifference(None, None, [], {})


class _Newest(NamedTuple):
    deployment: Deployment
    build: Build | None
    is_busy: bool
    """Whether a deployment has not ended."""
    has_failed: bool
    """Whether one has failed."""


async def read_status(session: AsyncSession, resources: Resources, service: Service) -> ServiceStatus:
    """Read the status in a few short queries: deployments, live release, variables, volumes and hostnames."""
    newest = await _find_newest(session, service.id)
    frozen = await find_frozen(session, service.id)
    workload = await find_wanted_workload(session, service.id) if frozen else None
    last = newest.deployment if newest else None
    is_coming = last is not None and last.kind == "deploy" and last.state in ACTIVE
    waiting = _NOTHING if frozen is None or is_coming else await _compare_stored(session, service, frozen, workload)
    addresses = await list_addresses(session, resources.settings, service.id)
    return ServiceStatus(
        frozen.release.id if frozen else "", tuple(waiting.changes), waiting.revision,
        frozen.release.number if frozen else 0, _failure(last),
        state=_state_of(service, newest, workload, last_survey(resources)),
        address=addresses[0].url if addresses else "",
        address_note=_NOTES.get(addresses[0].condition, "") if addresses else "",
        more_addresses=max(0, len(addresses) - 1), last=_last(newest, frozen),
    )  # fmt: skip


async def _find_newest(session: AsyncSession, service_id: str) -> _Newest | None:
    other = aliased(Deployment)
    is_busy = exists().where(other.service_id == service_id, other.state.in_(ACTIVE))
    has_failed = exists().where(other.service_id == service_id, other.state == "failed")
    query = select(Deployment, Build, is_busy, has_failed).outerjoin(Build, Build.id == Deployment.build_id)
    query = query.where(Deployment.service_id == service_id, Deployment.kind != "build")
    row = (await session.execute(query.order_by(Deployment.number.desc()).limit(1))).first()
    return None if row is None else _Newest(*row)


async def find_wanted_workload(session: AsyncSession, service_id: str) -> WorkloadRef | None:
    """Return the workload of the live release in one query."""
    return (await list_workloads(session, Service.id == service_id)).get(service_id)


def _state_of(
    service: Service, newest: _Newest | None, workload: WorkloadRef | None, seen: Survey | None
) -> ServiceState | Literal[""]:
    """Return the state as far as it is known without asking an engine now."""
    own = seen.replicas.get(service.id, ()) if seen else ()
    is_there = workload is not None and any(workload.includes(replica) for replica in own)
    is_known = seen is not None and (is_there or not seen.problem)
    state = state_of(
        desired=service.desired_state, is_busy=newest is not None and newest.is_busy,
        has_failed=newest is not None and newest.has_failed,
        wanted=workload.replicas if workload else None, observed=observe(own, workload) if is_known else None,
    )  # fmt: skip
    return "" if state == "unknown" and seen is None else state


def _last(newest: _Newest | None, frozen: Frozen | None) -> LastDeployment | None:
    if newest is None:
        return None
    row, made = newest.deployment, newest.build
    if made is None and row.kind != "deploy" and frozen is not None:
        made = frozen.build
    commit, message = (made.commit[:10], made.commit_message.split("\n")[0]) if made else ("", "")
    href = f"/deployments/{row.id}"
    return LastDeployment(row.number, row.kind, row.state, href, commit, message, row.requested_by, row.created_at)


def _failure(last: Deployment | None) -> Failure | None:
    if last is None or last.state != "failed":
        return None
    return Failure(f"{last.kind.capitalize()} #{last.number} failed", last.reason, last.hint, f"/deployments/{last.id}")


async def read_waiting(session: AsyncSession, service: Service) -> ReleaseDifference:
    """Return what the next deployment would change in what runs."""
    frozen = await find_frozen(session, service.id)
    if frozen is None:
        return _NOTHING
    return await _compare_stored(session, service, frozen, await find_wanted_workload(session, service.id))


async def read_rollback(session: AsyncSession, service: Service, target: Release) -> ReleaseDifference:
    """Return what going back to a release would change in what runs. The number of replicas stays."""
    live, back = await find_frozen(session, service.id), await find_frozen(session, service.id, target.id)
    config = FrozenConfig.model_validate(target.config)
    if live is None or back is None:
        return ReleaseDifference(None, target, [], {})
    runs = FrozenConfig.model_validate(live.release.config).model_copy(update={"replicas": config.replicas})
    now, then = (frozen.deployment.secret_revisions if frozen.deployment else {} for frozen in (live, back))
    changed = {key for key, revision in then.items() if now.get(key) not in {None, revision}}
    variables = compare_variables(config, runs, changed)
    return ReleaseDifference(live.release, target, compare_configs(config, runs, changed), variables)


async def find_frozen(session: AsyncSession, service_id: str, release_id: str | None = None) -> Frozen | None:
    """Return a release with what made it; by default the live one."""
    other, maker = aliased(Deployment), aliased(Deployment)
    first = select(func.min(maker.seq)).where(maker.service_id == service_id, maker.release_id == Release.id)
    made = (other.build_id == Release.build_id) & (other.seq <= first.correlate(Release).scalar_subquery())
    froze = select(func.max(other.seq)).where(
        other.service_id == service_id, other.kind == "deploy", made | (other.release_id == Release.id)
    )
    query = (
        select(Release, Build, Deployment)
        .outerjoin(Build, Build.id == Release.build_id)
        .outerjoin(Deployment, Deployment.seq == froze.correlate(Release).scalar_subquery())
        .where(Release.service_id == service_id)
    )
    if release_id is None:
        query = query.join(LiveRelease, LiveRelease.release_id == Release.id)
    else:
        query = query.where(Release.id == release_id)
    row = (await session.execute(query)).first()
    return None if row is None else Frozen(*row)


async def _compare_stored(
    session: AsyncSession, service: Service, frozen: Frozen, workload: WorkloadRef | None
) -> ReleaseDifference:
    sides = await read_sides(session, service, frozen, workload)
    lost = [privilege for privilege in list_wanted(sides.config.runtime) if privilege not in service.privileges]
    changes = compare_configs(sides.config, sides.live, sides.changed_secrets)
    changes += [ConfigChange(f"{privilege} not granted", privilege, "granted", "not granted") for privilege in lost]
    if frozen.deployment is not None:
        before = compare_sources(service.source, frozen.deployment.source)
        changes = [*before, *compare_builds(sides.build, deployed_build(frozen.deployment)), *changes]
    variables = compare_variables(sides.config, sides.live, sides.changed_secrets)
    return ReleaseDifference(frozen.release, None, changes, variables, sides.revision)


async def read_sides(session: AsyncSession, service: Service, frozen: Frozen, workload: WorkloadRef | None) -> Sides:
    """Read what is stored, as a deployment would merge it with the live source's `orca.yaml`, beside what is live."""
    stored = await read_config(session, service)
    config, build = _as_deployed(stored.config, BuildOptions.model_validate(service.build), frozen.build)
    live = FrozenConfig.model_validate(frozen.release.config)
    if workload:
        live = live.model_copy(update={"replicas": workload.replicas})
    seen = [service.version, frozen.release.id, stored.config.model_dump(mode="json"), stored.secret_revisions]
    revision = sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]
    return Sides(stored, config, build, live, _list_changed(stored, frozen), revision)


def deployed_build(deployment: Deployment) -> BuildOptions:
    """Return the build options that a deployment used."""
    return BuildOptions.model_validate(deployment.config.get("build", {}))


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
