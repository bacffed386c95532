"""Stores rows of uploads, and deletes those that cannot be deployed any more."""

from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import Fact, record
from orca.features.sources.models import Upload
from orca.features.sources.uploads import (
    StoredUpload,
)
from orca.features.sources.usage import list_needed_uploads
from orca.resources import Resources
from orca.settings import Settings
from orca.web.guard import Scope

KEPT_UPLOADS = 3


def upload_folder(settings: Settings) -> Path:
    """Return the folder of uploads."""
    return settings.data_dir / "uploads"


def look_folder(settings: Settings) -> Path:
    """Return the folder of sources under detection: one subfolder each, for a minute at most."""
    return settings.data_dir / "looks"


async def keep_upload(
    session: AsyncSession, scope: Scope, service_id: str, stored: StoredUpload
) -> tuple[Upload, list[str]]:
    """Store an upload; returns its row, and the ids of older ones whose files may be removed after the commit."""
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
    older = [row for row in await session.scalars(newest_first.offset(KEPT_UPLOADS)) if row.id not in needed]
    for earlier in older:
        await session.delete(earlier)
    return upload, [earlier.id for earlier in older]


async def forget_uploads(session: AsyncSession, _resources: Resources, fact: Fact) -> None:
    """Delete the rows of a deleted service's uploads; the next sweep removes the files."""
    for upload in (await session.scalars(select(Upload).where(Upload.service_id == fact.object_id))).all():
        await session.delete(upload)
