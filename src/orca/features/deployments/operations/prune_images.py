"""Removes images that are not needed any more."""

from collections.abc import Sequence
from functools import partial

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments import queries, rules
from orca.features.deployments.models import Build, Deployment, LiveRelease
from orca.features.deployments.rules import KeptImage
from orca.features.services.models import Service
from orca.instance.tombstones import list_buried
from orca.resources import Resources
from orca.sdk.caches import SupportsImageSizes
from orca.sdk.containers import Image

log = structlog.get_logger("orca.deployments")


async def remove_old_images(resources: Resources) -> None:
    """Remove our own images above the budget, oldest first; images of live and rollback releases are never removed.

    An image counts with the bytes that removing it frees, where the engine knows them: shared layers would stay.
    """
    await resources.systems.on_each(partial(_remove_old_images, resources))


async def _remove_old_images(resources: Resources, system_id: str) -> None:
    host = await resources.systems.containers(system_id)
    images = await host.list_images({"orca.instance": resources.instance, "orca.build": ""})
    async with resources.db.read() as session:
        pinned = await _pinned_images(session) | await _list_unknown_images(session, images)
        order = await _number_builds(session, images)
    newest_first = sorted(images, key=lambda image: order.get(_build_of(image), 0), reverse=True)
    budget, sizes = resources.settings.disk.image_budget_mb << 20, {listed.id: listed.size_bytes for listed in images}
    if sum(sizes.values()) > budget and isinstance(host, SupportsImageSizes):
        sizes |= await host.measure_images()
    kept = [KeptImage(image.id, sizes[image.id], image.id in pinned) for image in newest_first]
    for image_id in rules.images_to_remove(kept, budget):
        if await host.remove_image(image_id):
            log.info("image_removed", image=image_id)


def _build_of(image: Image) -> str:
    return image.labels.get("orca.build", "")


async def _number_builds(session: AsyncSession, images: Sequence[Image]) -> dict[str, int]:
    """Map builds to their sequence number; builds whose rows were deleted, which are the oldest, are left out."""
    ids = [_build_of(image) for image in images]
    return {row.id: row.seq for row in await session.execute(select(Build.id, Build.seq).where(Build.id.in_(ids)))}


async def _list_unknown_images(session: AsyncSession, images: Sequence[Image]) -> set[str]:
    """Return images of builds that are neither in this database nor recorded there as deleted."""
    builds = {image.id: _build_of(image) for image in images}
    known = set((await session.scalars(select(Build.id).where(Build.id.in_(builds.values())))).all())
    known |= await list_buried(session, "build", builds.values())
    return {image_id for image_id, build_id in builds.items() if build_id not in known}


async def _pinned_images(session: AsyncSession) -> set[str]:
    live = (
        select(LiveRelease.service_id).join(Service, Service.id == LiveRelease.service_id)
        .where(Service.deleted_at.is_(None))
    )  # fmt: skip
    pinned: set[str] = set()
    for service_id in (await session.scalars(live)).all():
        pinned.update(release.image for release in await queries.list_offered_releases(session, service_id))
    busy = (
        select(Build.image).join(Deployment, Deployment.build_id == Build.id).where(Deployment.state.in_(rules.ACTIVE))
    )
    pinned.update((await session.scalars(busy)).all())
    return pinned
