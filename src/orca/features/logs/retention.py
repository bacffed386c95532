"""Deletes lines beyond the budget of a service, and those of services that are gone."""

import asyncio
import shutil
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


async def keep_lines(resources: Resources) -> None:
    """Collect what services write, and delete what is beyond the budget, until this is cancelled."""
    async with asyncio.TaskGroup() as both:
        both.create_task(collect(resources))
        both.create_task(_forget_again(resources))


async def _forget_again(resources: Resources) -> None:
    while resources.settings.logs.stored:
        await asyncio.sleep(SECONDS)
        await forget_lines(resources)


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
