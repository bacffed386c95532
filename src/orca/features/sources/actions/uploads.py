"""Remembering what was sent, and forgetting what nobody can deploy any more."""

import asyncio
import shutil
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import Fact, record, subscribe
from orca.features.sources.models import Upload
from orca.features.sources.uploads import SUFFIX, StoredUpload, find_leftovers, find_old_folders
from orca.features.sources.usage import list_needed_uploads
from orca.instance.models import Instance
from orca.resources import Resources
from orca.settings import Settings
from orca.web.guard import Scope

KEPT_UPLOADS = 3


def upload_folder(settings: Settings) -> Path:
    """Where uploads lie."""
    return settings.data_dir / "uploads"


def look_folder(settings: Settings) -> Path:
    """Where sources lie while they are looked at: one folder each, for a minute at most."""
    return settings.data_dir / "looks"


async def keep_upload(
    session: AsyncSession, scope: Scope, service_id: str, stored: StoredUpload
) -> tuple[Upload, list[str]]:
    """Record an upload; gives its row, and the ids of older ones whose files may go once this is committed."""
    newest = await session.scalar(select(func.max(Upload.number)).where(Upload.service_id == service_id))
    upload = Upload(
        id=stored.id, team_id=scope.team_id, service_id=service_id, sha256=stored.sha256,
        size_bytes=stored.size_bytes, number=(newest or 0) + 1,
    )  # fmt: skip
    session.add(upload)
    await session.flush()
    payload = {"upload_id": upload.id, "sha256": upload.sha256, "size_bytes": upload.size_bytes}
    await record(session, Fact("UploadReceived", scope.team_id, "service", service_id, payload))
    newest_first = select(Upload).where(Upload.service_id == service_id)
    newest_first = newest_first.order_by(Upload.number.desc(), Upload.id.desc())
    needed = await list_needed_uploads(session, service_id)
    older = [each for each in await session.scalars(newest_first.offset(KEPT_UPLOADS)) if each.id not in needed]
    for each in older:
        await session.delete(each)
    return upload, [each.id for each in older]


async def remove_leftovers(resources: Resources) -> None:
    """Remove files of no upload (interrupted ones, those of deleted services), and what a crash left of a look."""
    async with resources.db.read() as session:
        known = set((await session.scalars(select(Upload.id))).all())
        is_behind = await session.scalar(select(Instance.id).where(Instance.lost_after.is_not(None))) is not None
    for path in await asyncio.to_thread(find_leftovers, upload_folder(resources.settings), known):
        if path.suffix != SUFFIX or not is_behind:  # an older database does not know the newest uploads
            await asyncio.to_thread(path.unlink, missing_ok=True)
    for path in await asyncio.to_thread(find_old_folders, look_folder(resources.settings)):
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


async def _forget_uploads(session: AsyncSession, fact: Fact) -> None:
    """The rows go with the service; the files follow with the next sweep."""
    for upload in (await session.scalars(select(Upload).where(Upload.service_id == fact.object_id))).all():
        await session.delete(upload)


subscribe("ServiceDeleted", _forget_uploads)
