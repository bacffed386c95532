"""Keep what is live alive, and the disk from filling with what is not."""

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import ProviderUnavailable, RequestRefused
from orca.events import Event, Fact, record
from orca.features.deployments import rules
from orca.features.deployments.actions.start import Request, start_deployment
from orca.features.deployments.models import Build, Deployment, LiveRelease, Release
from orca.features.deployments.rules import KeptImage
from orca.features.services.models import Service
from orca.resources import Resources
from orca.sdk.engines import Container, EngineAway

log = structlog.get_logger("orca.deployments")

KEEP_RELEASES = 3
"""Images of the live release and of this many before it are pinned for rollback."""
CRASHES_TO_TELL = 5


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
            .where(Service.desired_state == "running", Service.deleted_at.is_(None))
        )).all()  # fmt: skip
    for live, release in rows:
        present = by_deployment.get(live.deployment_id, [])
        stopped = [each for each in present if rules.was_stopped(each.state, release.config["restart"])]
        missing = int(release.config.get("replicas", 1)) - len(present)
        if missing > 0 or not await _start_again(resources, stopped):
            await _revive(resources, live, missing)
    await _tell_about_crash_loops(resources, [each for each in containers if each.restarts >= CRASHES_TO_TELL])


async def _start_again(resources: Resources, stopped: list[Container]) -> bool:
    """Start containers where they stand; False when one is refused, so that it must be replaced."""
    for container in stopped:
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


async def _revive(resources: Resources, seen: LiveRelease, missing: int) -> None:
    """A restart is a deployment of the live release, so it is as safe as any other.

    Starting containers takes a while: whoever stopped, deleted or deployed the service meanwhile has the last word.
    """
    busy = select(Deployment.service_id).where(Deployment.state.in_(rules.ACTIVE))
    still_wanted = (
        select(Service).join(LiveRelease, LiveRelease.service_id == Service.id)
        .where(Service.desired_state == "running", Service.deleted_at.is_(None), Service.id.not_in(busy))
        .where(LiveRelease.id == seen.id, LiveRelease.deployment_id == seen.deployment_id)
    )  # fmt: skip
    async with resources.db.write() as session:
        service = await session.scalar(still_wanted.with_for_update(of=Service))
        if service is not None:
            log.warning("service_revived", service=service.slug, missing=missing)
            await start_deployment(session, resources, service, Request(kind="restart", trigger="system"))


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
        pinned = await _pinned_images(session)
    newest_first = sorted(images, key=lambda image: image.created_at, reverse=True)
    kept = [KeptImage(image.id, image.size_bytes, image.id in pinned) for image in newest_first]
    for image_id in rules.images_to_remove(kept, resources.settings.disk.image_budget_mb << 20):
        if await resources.engine.remove_image(image_id):
            log.info("image_removed", image=image_id)


async def _pinned_images(session: AsyncSession) -> set[str]:
    live = await session.execute(
        select(LiveRelease.service_id, Release.number).join(Release, Release.id == LiveRelease.release_id)
        .join(Service, Service.id == LiveRelease.service_id).where(Service.deleted_at.is_(None))
    )  # fmt: skip
    pinned: set[str] = set()
    for service_id, number in live.all():
        query = select(Release.image).where(Release.service_id == service_id, Release.number <= number)
        recent = query.order_by(Release.number.desc()).limit(KEEP_RELEASES + 1)
        pinned.update((await session.scalars(recent)).all())
    busy = (
        select(Build.image).join(Deployment, Deployment.build_id == Build.id).where(Deployment.state.in_(rules.ACTIVE))
    )
    pinned.update((await session.scalars(busy)).all())
    return pinned
