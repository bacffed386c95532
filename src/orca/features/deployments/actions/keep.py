"""Keep what is live alive, and the disk from filling with what is not."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Conflict, ProviderUnavailable, RequestRefused
from orca.events import Event, Fact, record
from orca.features.deployments import queries, rules
from orca.features.deployments.actions.start import Request, start_deployment
from orca.features.deployments.models import Build, Deployment, DeploymentStep, LiveRelease, Release
from orca.features.deployments.queries import list_unknown
from orca.features.deployments.rules import KeptImage
from orca.features.services.models import Service
from orca.features.services.schemas import FrozenConfig
from orca.instance.tombstones import list_buried
from orca.kit.backoff import growing_pause
from orca.resources import Resources
from orca.sdk.engines import Container, EngineAway, Image

log = structlog.get_logger("orca.deployments")

KEEP_IMAGES = 4
"""The last images of a service that served are pinned: the live one, and those to which it may go back."""
CRASHES_TO_TELL = 5
FIRST_PAUSE = timedelta(seconds=60)
LONGEST_PAUSE = timedelta(hours=1)
MOST_FAILURES = 7
"""With so many failures in a row the pause has reached its longest."""


async def keep_services_alive(resources: Resources) -> None:
    """Start again the containers of live releases that were stopped, replace those that are gone; tell of crash loops.

    Starting is done under a running deployment too: what is live must serve until something newer does.
    """
    containers = await resources.engine.inspect({"orca.instance": resources.instance, "orca.replica": ""})
    by_deployment: dict[str, list[Container]] = {}
    for container in containers:
        if container.state != "dead":
            by_deployment.setdefault(container.labels.get("orca.deployment", ""), []).append(container)
    async with resources.db.read() as session:
        rows = (await session.execute(
            select(LiveRelease, Release).join(Service, Service.id == LiveRelease.service_id)
            .join(Release, Release.id == LiveRelease.release_id)
            .where(Service.desired_state == "running", Service.deleted_at.is_(None), Service.id.not_in(_recreated()))
        )).all()  # fmt: skip
        stopped_since = await _list_stopped(session)
        unknown = await list_unknown(session, containers)
    held = {each.labels.get("orca.service") for each in containers if each.labels.get("orca.deployment") in unknown}
    for live, release in rows:
        if live.service_id in held and not by_deployment.get(live.deployment_id):
            continue  # another release runs that this database does not know; somebody decides which one it is
        present = by_deployment.get(live.deployment_id, [])
        began, policy = stopped_since.get(live.deployment_id), release.config["restart"]
        stopped = [each for each in present if rules.was_stopped(each, policy) or rules.was_stopped_by(began, each)]
        missing = int(release.config.get("replicas", 1)) - len(present)
        is_alone = began is not None or FrozenConfig.model_validate(release.config).recreates
        if not await _start_again(resources, live, stopped, is_alone=is_alone) or missing > 0:
            await _revive(resources, live, missing)
    await _tell_about_crash_loops(resources, [each for each in containers if each.restarts >= CRASHES_TO_TELL])


def _recreated() -> Select[Any]:
    """Services whose old release a deployment has stopped on purpose; it starts it again itself when it fails."""
    stopped = select(DeploymentStep.deployment_id).where(
        DeploymentStep.name == "stop_previous", DeploymentStep.started_at.is_not(None)
    )
    return select(Deployment.service_id).where(Deployment.state == "running", Deployment.id.in_(stopped))


async def _list_stopped(session: AsyncSession) -> dict[str | None, datetime]:
    """Deployment -> when a later one that came to nothing began to stop its containers; perhaps it left some so."""
    query = select(Deployment.previous_deployment_id, func.max(DeploymentStep.started_at)).join(
        DeploymentStep, DeploymentStep.deployment_id == Deployment.id
    )
    ended = query.where(Deployment.state.in_(("failed", "cancelled")), DeploymentStep.name == "stop_previous")
    live = ended.where(Deployment.previous_deployment_id.in_(select(LiveRelease.deployment_id)))
    rows = await session.execute(live.group_by(Deployment.previous_deployment_id))
    return {deployment_id: began for deployment_id, began in rows if began is not None}


async def _start_again(resources: Resources, live: LiveRelease, stopped: list[Container], *, is_alone: bool) -> bool:
    """Start containers where they stand; False when one is refused, so that it must be replaced.

    `is_alone`: they must not run beside those of another release.
    """
    for container in stopped:
        if not await _may_start(resources, live, is_alone=is_alone):
            return True
        log.warning("container_started_again", container=container.name, exit_code=container.exit_code)
        try:
            await resources.engine.start(container.name)
        except RequestRefused as error:
            log.warning("container_not_startable", container=container.name, reason=error.message)
            return False
        except EngineAway:
            raise
        except ProviderUnavailable as error:  # tried again at the next look; others have their turn now
            log.warning("container_not_started", container=container.name, reason=error.message)
    return True


async def _may_start(resources: Resources, seen: LiveRelease, *, is_alone: bool) -> bool:
    """Looked at again right before, because others took their time: still live, and alone where it must be."""
    async with resources.db.read() as session:
        same = select(LiveRelease.id).where(
            LiveRelease.id == seen.id, LiveRelease.deployment_id == seen.deployment_id,
            LiveRelease.service_id.not_in(_recreated()),
        )  # fmt: skip
        if await session.scalar(same) is None:
            return False
    if not is_alone:
        return True
    others = await resources.engine.inspect({"orca.service": seen.service_id, "orca.replica": ""})
    return not any(
        each.state == "running" and each.labels.get("orca.deployment") != seen.deployment_id for each in others
    )


async def _revive(resources: Resources, seen: LiveRelease, missing: int) -> None:
    """A restart is a deployment of the live release, so it is as safe as any other; failed ones make pauses.

    Starting containers takes a while: whoever stopped, deleted or deployed the service meanwhile has the last word.
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
    except Conflict as error:  # its volume was destroyed: others have their turn
        log.warning("service_not_revived", service=seen.service_id, reason=error.message)


async def _restart_unless_paused(session: AsyncSession, resources: Resources, service: Service, missing: int) -> None:
    failed = await _list_failed(session, service.id)
    ended = failed[0].finished_at if failed else None
    if ended is not None and now() < ended + pause_after(len(failed)):
        return
    log.warning("service_revived", service=service.slug, missing=missing, failures=len(failed))
    await start_deployment(session, resources, service, Request(kind="restart", trigger="system"))
    if len(failed) == 1:  # once in a row of failures, which ends with a success or with what somebody asks for
        await _tell_not_revived(session, service, failed[0])


async def _list_failed(session: AsyncSession, service_id: str) -> Sequence[Deployment]:
    """The failed attempts to revive a service since the last deployment that succeeded or that somebody asked for.

    Newest first; no more of them than make a difference.
    """
    newest = select(Deployment).where(Deployment.service_id == service_id).order_by(Deployment.number.desc())
    last = (await session.scalars(newest.limit(MOST_FAILURES))).all()
    return last[: count_failures([(each.trigger, each.state) for each in last])]


def count_failures(newest_first: Sequence[tuple[str, str]]) -> int:
    """How often in a row Orca itself tried in vain: (trigger, state) of the last deployments of a service.

    What somebody asks for, and what succeeds, begins a new row.
    """
    tries = takewhile(lambda each: each[0] == "system" and each[1] in {"failed", "cancelled"}, newest_first)
    return len(list(tries))


def pause_after(failures: int) -> timedelta:
    """How long Orca waits before it tries again; at once when nothing failed."""
    if failures == 0:
        return timedelta()
    return growing_pause(failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE)


async def _tell_not_revived(session: AsyncSession, service: Service, failed: Deployment) -> None:
    payload = {"service": service.slug, "number": failed.number, "deployment_id": failed.id, "code": failed.code}
    await record(session, Fact("ServiceNotRevived", service.team_id, "service", service.id, payload, "failed"))


async def _tell_about_crash_loops(resources: Resources, containers: list[Container]) -> None:
    """Record each crash loop once per release, with what is known."""
    for container in containers:
        service_id, release_id = container.labels.get("orca.service", ""), container.labels.get("orca.release", "")
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
            payload = {"release_id": release_id, "restarts": container.restarts, "exit_code": container.exit_code,
                       "out_of_memory": container.out_of_memory}  # fmt: skip
            await record(
                session, Fact("ServiceCrashLooping", service.team_id, "service", service_id, payload, "failed")
            )


async def remove_old_images(resources: Resources) -> None:
    """Remove our own images above the budget, oldest first; live and rollback releases are never touched."""
    images = await resources.engine.list_images({"orca.instance": resources.instance, "orca.build": ""})
    async with resources.db.read() as session:
        pinned = await _pinned_images(session) | await _list_unknown_images(session, images)
    newest_first = sorted(images, key=lambda image: image.created_at, reverse=True)
    kept = [KeptImage(image.id, image.size_bytes, image.id in pinned) for image in newest_first]
    for image_id in rules.images_to_remove(kept, resources.settings.disk.image_budget_mb << 20):
        if await resources.engine.remove_image(image_id):
            log.info("image_removed", image=image_id)


async def _list_unknown_images(session: AsyncSession, images: Sequence[Image]) -> set[str]:
    """Images of builds that this database does not know, and whose deletion is not on record."""
    builds = {image.id: image.labels.get("orca.build", "") for image in images}
    known = set((await session.scalars(select(Build.id).where(Build.id.in_(builds.values())))).all())
    known |= await list_buried(session, "build", builds.values())
    return {image_id for image_id, build_id in builds.items() if build_id not in known}


async def _pinned_images(session: AsyncSession) -> set[str]:
    live = await session.execute(
        select(LiveRelease.service_id, Release.image).join(Release, Release.id == LiveRelease.release_id)
        .join(Service, Service.id == LiveRelease.service_id).where(Service.deleted_at.is_(None))
    )  # fmt: skip
    pinned: set[str] = set()
    for service_id, image in live.all():
        back = await queries.find_rollback_release(session, service_id, None)
        pinned.update([image, *([back.image] if back else []), *await _list_served_images(session, service_id)])
    busy = (
        select(Build.image).join(Deployment, Deployment.build_id == Build.id).where(Deployment.state.in_(rules.ACTIVE))
    )
    pinned.update((await session.scalars(busy)).all())
    return pinned


async def _list_served_images(session: AsyncSession, service_id: str) -> Sequence[str]:
    """The last images that served. Scaling makes releases of the same image, and failures make some that never did."""
    served = select(Release.image).where(Release.service_id == service_id, Release.went_live_at.is_not(None))
    newest = served.group_by(Release.image).order_by(func.max(Release.number).desc())
    return (await session.scalars(newest.limit(KEEP_IMAGES))).all()
