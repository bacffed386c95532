"""Looks at disk, database and engine for what is kept."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Base
from orca.events import Event
from orca.features.deployments.models import Build, Deployment, LogChunk, Release
from orca.features.deployments.operations.cache import list_ours, measure
from orca.features.disk.schemas import DiskOut, Kept
from orca.features.sources.models import Upload
from orca.features.triggers.models import Push
from orca.kit.amounts import counted
from orca.resources import Resources
from orca.sdk.caches import SupportsBuildCache, SupportsImageSizes
from orca.settings import Settings
from orca.systems import LOCAL
from orca.tasks import Task


async def view_disk(resources: Resources) -> DiskOut:
    """Asks the engine, too; what does not answer is a problem of its own, and the rest is told."""
    usage = await resources.systems.measure_disk(LOCAL, str(resources.settings.data_dir))
    problems: list[str] = []
    async with resources.db.read() as session:
        items = [await _database(session, resources), *await _list_rows(session, resources.settings)]
    for look in (_images, _cache):
        items += await look(resources, problems)
    return DiskOut(
        total_bytes=usage.total if usage else 0, free_bytes=usage.free if usage else 0,
        reserve_bytes=resources.settings.disk.reserve_mb << 20, items=items, problems=problems,
    )  # fmt: skip


async def _database(session: AsyncSession, resources: Resources) -> Kept:
    if resources.db.is_sqlite:
        size = await asyncio.to_thread(_measure_files, Path(str(resources.db.url.database)))
    else:
        size = await session.scalar(text("SELECT pg_database_size(current_database())")) or 0
    tables = len(Base.metadata.tables)
    return Kept(name="Database", count=tables, bytes=size, rule="Tables; what is in them is below.", settings=[])


def _measure_files(database: Path) -> int:
    files = (database, database.with_name(f"{database.name}-wal"))
    return sum(path.stat().st_size for path in files if path.exists())


async def _list_rows(session: AsyncSession, settings: Settings) -> list[Kept]:
    keep, live = settings.keep, "and what is live or can be gone back to"
    days = f"{counted(keep.deployment_days, 'day')}, the newest {keep.deployments} of each service, {live}"
    both = ["ORC_KEEP_DEPLOYMENTS", "ORC_KEEP_DEPLOYMENT_DAYS"]
    logs = select(func.count(LogChunk.deployment_id.distinct()))
    sent = (await session.execute(select(func.count(), func.coalesce(func.sum(Upload.size_bytes), 0)))).one()
    return [
        Kept(name="Deployments", count=await _count(session, Deployment), bytes=None, rule=days, settings=both),
        Kept(name="Releases", count=await _count(session, Release), bytes=None, rule="with their deployments",
             settings=both),
        Kept(name="Builds", count=await _count(session, Build), bytes=None, rule="with their deployments",
             settings=both),
        Kept(name="Logs of deployments", count=await session.scalar(logs) or 0, bytes=None,
             rule=f"{counted(keep.log_days, 'day')}, and that of the live one", settings=["ORC_KEEP_LOG_DAYS"]),
        Kept(name="Tasks", count=await _count(session, Task), bytes=None, rule=counted(keep.task_days, "day"),
             settings=["ORC_KEEP_TASK_DAYS"]),
        Kept(name="Pushes at hooks", count=await _count(session, Push), bytes=None, rule="30 days", settings=[]),
        Kept(name="Events", count=await _count(session, Event), bytes=None, rule="for ever", settings=[]),
        Kept(name="Source trees that were sent", count=sent[0], bytes=sent[1],
             rule=f"the last three of each service, {live}", settings=[]),
    ]  # fmt: skip


async def _count(session: AsyncSession, table: type[Base]) -> int:
    return await session.scalar(select(func.count()).select_from(table)) or 0


async def _images(resources: Resources, problems: list[str]) -> list[Kept]:
    found, failed = await resources.systems.try_each(partial(_measure_images, resources))
    problems += [error.message for error in failed.values()]
    if not found:
        return []
    sizes = [size for entry in found.values() for size in entry]
    rule = f"the last four of each service that served, others up to {resources.settings.disk.image_budget_mb} MiB"
    return [Kept(name="Images that Orca built", count=len(sizes), bytes=sum(sizes), rule=rule,
                 settings=["ORC_DISK_IMAGE_BUDGET_MB"])]  # fmt: skip


async def _measure_images(resources: Resources, system_id: str) -> list[int]:
    """Return the bytes of each image that Orca built on a system."""
    host = await resources.systems.containers(system_id)
    images = await host.list_images({"orca.instance": resources.instance, "orca.build": ""})
    measured = await host.measure_images() if isinstance(host, SupportsImageSizes) else {}
    return [measured.get(image.id, image.size_bytes) for image in images]


@dataclass(frozen=True, slots=True)
class _Cache:
    count: int = 0
    bytes: int = 0

    def plus(self, other: "_Cache") -> "_Cache":
        return _Cache(self.count + other.count, self.bytes + other.bytes)


async def _measure_cache(resources: Resources, system_id: str) -> tuple[_Cache, _Cache] | None:
    """Return the build cache of Orca's builds on a system and that of others; None where it cannot be listed."""
    host = await resources.systems.containers(system_id)
    if not isinstance(host, SupportsBuildCache):
        return None
    records = await host.list_cache()
    async with resources.db.read() as session:
        known = await list_ours(session, system_id)
    others = {record.id: True for record in records if record.id not in known}
    return _Cache(len(records) - len(others), measure(records, known)), _Cache(len(others), measure(records, others))


async def _cache(resources: Resources, problems: list[str]) -> list[Kept]:
    found, failed = await resources.systems.try_each(partial(_measure_cache, resources))
    problems += [error.message for error in failed.values()]
    caches = [entry for entry in found.values() if entry is not None]
    if not caches:
        return []
    ours, others = _Cache(), _Cache()
    for own, foreign in caches:
        ours, others = ours.plus(own), others.plus(foreign)
    rule = f"the most recently used, up to {resources.settings.disk.cache_budget_mb} MiB"
    return [
        Kept(name="Build cache of Orca's builds", count=ours.count, bytes=ours.bytes, rule=rule,
             settings=["ORC_DISK_CACHE_BUDGET_MB"]),
        Kept(name="Build cache of others", count=others.count, bytes=others.bytes,
             rule="Orca leaves it alone; `docker builder prune` removes what is not in use", settings=[]),
    ]  # fmt: skip
