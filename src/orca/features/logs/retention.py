"""Deletes lines beyond the budget of a service, and those of services that are gone."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import structlog
from sqlalchemy import select

from orca.features.logs.collector import Collecting, collect, folder_of
from orca.features.services.models import Service
from orca.kit.threads import run_in_thread
from orca.resources import Resources

log = structlog.get_logger("orca.logs")
DAY = 86_400.0
SECONDS = 600.0
RESERVE_SECONDS = 60.0


async def keep_lines(resources: Resources) -> None:
    """Collect what services write, and delete what is beyond the budget, until this is cancelled."""
    async with asyncio.TaskGroup() as all_of_it:
        all_of_it.create_task(collect(resources))
        all_of_it.create_task(_forget_again(resources))
        all_of_it.create_task(_keep_reserve_again(resources))


async def _forget_again(resources: Resources) -> None:
    while resources.settings.logs.stored:
        await asyncio.sleep(SECONDS)
        await forget_lines(resources)


async def _keep_reserve_again(resources: Resources) -> None:
    while resources.settings.logs.stored:
        await asyncio.sleep(RESERVE_SECONDS)
        await keep_reserve(resources)


async def keep_reserve(resources: Resources) -> None:
    """Delete the oldest lines of all services while less is free on the disk than the reserve.

    The newest segment of each service stays: deleting these would not help a disk that something else fills.
    """
    collector = Collecting.of(resources).collector
    if collector is None:
        return
    reserve = resources.settings.disk.reserve_mb
    missing = (reserve << 20) - (await asyncio.to_thread(shutil.disk_usage, folder_of(resources))).free
    collector.shortage = f"Less than {reserve} MiB are free on the disk: old lines are deleted." if missing > 0 else ""
    for name, size in (await asyncio.to_thread(_choose_oldest, folder_of(resources), missing)).items():
        async with collector.use(name) as timeline:
            if await run_in_thread(timeline.store.prune, most_bytes=timeline.store.size - size, oldest=0):
                log.warning("logs_pruned_for_reserve", service=name)


def _choose_oldest(root: Path, missing: int) -> dict[str, int]:
    """Return how many bytes of each folder must go, oldest segments first, to make so much room."""
    segments = []
    for folder in _list_folders(root):
        for path in sorted(folder.glob("*.log"))[:-1]:
            found = path.stat()
            segments.append((found.st_mtime, found.st_size, folder.name))
    chosen: Counter[str] = Counter()
    for _, size, name in sorted(segments):
        if chosen.total() >= missing:
            break
        chosen[name] += size
    return chosen


async def forget_lines(resources: Resources) -> None:
    """Delete the oldest lines of each service beyond its budget, in the process that writes them."""
    collector = Collecting.of(resources).collector
    if collector is None:
        return
    async with resources.db.read() as session:
        living = set((await session.scalars(select(Service.id).where(Service.deleted_at.is_(None)))).all())
    limits = resources.settings.logs
    oldest = resources.clock.now().timestamp() - limits.days * DAY
    for folder in await asyncio.to_thread(_list_folders, folder_of(resources)):
        if folder.name not in living and await asyncio.to_thread(_find_last_write, folder) < oldest:
            await run_in_thread(shutil.rmtree, folder, ignore_errors=True)
            log.info("logs_removed", service=folder.name)
            continue
        async with collector.use(folder.name) as timeline:
            if await run_in_thread(timeline.store.prune, most_bytes=limits.mb << 20, oldest=oldest):
                log.info("logs_pruned", service=folder.name)


def _list_folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []


def _find_last_write(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.glob("*.log")), default=folder.stat().st_mtime)
