"""Removes what uploads and detections leave behind."""

import asyncio
import shutil
import time
from pathlib import Path

from sqlalchemy import select

from orca.features.sources.actions.uploads import look_folder, upload_folder
from orca.features.sources.models import Upload
from orca.features.sources.uploads import LEFTOVER_SECONDS, SUFFIX, find_leftovers, list_folders
from orca.instance.models import Instance
from orca.kit.threads import run_in_thread
from orca.resources import Resources


class Leftovers:
    """Stores since when files have had no row, by the monotonic clock, which no change of the system time affects."""

    def __init__(self, patience: float = LEFTOVER_SECONDS) -> None:
        self._patience = patience
        self._since: dict[Path, float] = {}

    async def remove(self, resources: Resources) -> None:
        """Remove files without an upload (interrupted, or of deleted services), and leftovers of crashed detections."""
        async with resources.db.read() as session:
            known = set((await session.scalars(select(Upload.id))).all())
            is_behind = await session.scalar(select(Instance.id).where(Instance.lost_after.is_not(None))) is not None
        files = await asyncio.to_thread(find_leftovers, upload_folder(resources.settings), known)
        folders = await asyncio.to_thread(list_folders, look_folder(resources.settings))
        instant = time.monotonic()
        self._since = {path: self._since.get(path, instant) for path in (*files, *folders)}
        old = {path for path, since in self._since.items() if instant - since >= self._patience}
        for path in old.intersection(files):
            if path.suffix != SUFFIX or not is_behind:  # a restored database may lack the newest uploads
                await run_in_thread(path.unlink, missing_ok=True)
        for path in old.intersection(folders):
            await run_in_thread(shutil.rmtree, path, ignore_errors=True)
