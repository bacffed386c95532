"""Reads of uploads."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database
from orca.db.pages import read_page
from orca.features.sources.models import Upload
from orca.kit.pagination import Page, PageRequest
from orca.web.guard import Scope

_FIRST_PAGE = PageRequest()


async def find_upload(session: AsyncSession, scope: Scope, service_id: str, upload_id: str) -> Upload | None:
    """An upload for a service of the team, or None."""
    upload = await find_team_upload(session, scope, upload_id)
    return upload if upload is not None and upload.service_id == service_id else None


async def find_team_upload(session: AsyncSession, scope: Scope, upload_id: str) -> Upload | None:
    """An upload of the team, for whichever service, or None."""
    return await session.scalar(select(Upload).where(Upload.id == upload_id, Upload.team_id == scope.team_id))


async def list_uploads(
    session: AsyncSession, scope: Scope, service_id: str, wanted: PageRequest = _FIRST_PAGE
) -> Page[Upload]:
    """Return the uploads of a service, newest first."""
    query = select(Upload).where(Upload.team_id == scope.team_id, Upload.service_id == service_id)
    return await read_page(session, query, Upload, wanted)


async def find_kept_upload(db: Database, scope: Scope, upload_id: str) -> Upload | None:
    """Return the row of an upload, or None; used after a commit whose answer was lost."""
    async with db.read(scope.team_id, scope.reach) as session:
        return await session.get(Upload, upload_id)
