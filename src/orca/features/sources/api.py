"""REST doors of uploads: how `orc deploy` sends a directory."""

from typing import Annotated, Any

from fastapi import Query, Request
from starlette.requests import ClientDisconnect

from orca.db import DATABASE_AWAY, ReadSession
from orca.features.sources import actions, queries
from orca.features.sources.actions.uploads import upload_folder
from orca.features.sources.errors import BodyCutOff
from orca.features.sources.models import Upload
from orca.features.sources.schemas import UploadOut
from orca.features.sources.uploads import StoredUpload, UploadLimits, remove_uploads, store_upload
from orca.kit.pagination import Page, RecentPage
from orca.kit.threads import run_in_thread
from orca.resources import Resources
from orca.web.guard import CurrentResources, CurrentScope, Router, guard

router = Router(prefix="/api/v1", tags=["sources"])
TAR_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A tar archive (plain or gzip) of the source tree.",
        "content": {
            "application/x-tar": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

ANY_SIZE = 1 << 50
"""No limit here: ORC_DISK_UPLOAD_LIMIT_MB is enforced while the body is written to disk."""


@router.post(
    "/services/{service_id}/uploads",
    status_code=201,
    response_model=UploadOut,
    summary="Send a source tree",
    openapi_extra=TAR_BODY,
    max_body_size=ANY_SIZE,
)
@guard("service.deploy", tenant="service_id", rate="write", audit="UploadReceived", seconds=None)
async def create_upload(service_id: str, request: Request, scope: CurrentScope, resources: CurrentResources) -> Upload:
    """Store a source tree; it is streamed to disk and hashed. The last three of a service are kept; deploy by id."""
    stored = await receive_archive(request, resources)
    folder = upload_folder(resources.settings)
    try:
        async with resources.db.write(scope.team_id) as session:
            upload, replaced = await actions.keep_upload(session, scope, service_id, stored)
    except DATABASE_AWAY:
        # The commit may have succeeded although its answer was lost. If this query fails too, the file stays: the sweep
        # removes it when it has no row.
        kept = await queries.find_kept_upload(resources.db, scope, stored.id)
        if kept is None:
            await run_in_thread(remove_uploads, folder, [stored.id])
            raise
        return kept
    except BaseException:
        await run_in_thread(remove_uploads, folder, [stored.id])
        raise
    await run_in_thread(remove_uploads, folder, replaced)
    return upload


async def receive_archive(request: Request, resources: Resources) -> StoredUpload:
    """Stream the body into a file of the upload folder; the sweep removes it if it never gets a row."""
    disk = resources.settings.disk
    limits = UploadLimits(disk.upload_limit_mb << 20, disk.reserve_mb << 20)
    length = request.headers.get("content-length", "")
    declared = int(length) if length.isdecimal() else None
    try:
        return await store_upload(request.stream(), upload_folder(resources.settings), limits, declared)
    except ClientDisconnect:
        raise BodyCutOff("the request was cut off before its end", hint="Send it again.") from None


@router.get("/services/{service_id}/uploads", response_model=Page[UploadOut], summary="List uploads")
@guard("service.read", tenant="service_id")
async def list_uploads(
    service_id: str, session: ReadSession, scope: CurrentScope, wanted: Annotated[RecentPage, Query()]
) -> Page[Upload]:
    """List the uploads of a service, newest first."""
    return await queries.list_uploads(session, scope, service_id, wanted)
