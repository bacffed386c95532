"""REST doors that inspect a source before a service is created from it."""

from fastapi import Request

from orca.features.services.detection import Detected, SourceToDetect
from orca.features.services.pipeline import DEADLINE, detect, detect_archive
from orca.features.sources.api import ANY_SIZE, TAR_BODY, receive_archive
from orca.kit.threads import run_in_thread
from orca.web.disconnect import cancel_on_disconnect
from orca.web.guard import CurrentResources, CurrentScope, Router, guard

router = Router(prefix="/api/v1", tags=["services"])


@router.post("/projects/{project_id}/detect", summary="Look at a source")
@guard("service.create", tenant="project_id", rate="write", audit="SourceInspected", seconds=2 * DEADLINE)
async def detect_source(
    project_id: str, body: SourceToDetect, request: Request, scope: CurrentScope, resources: CurrentResources
) -> Detected:
    """Detect what a service from this source would be: builder, Dockerfile, port, command, health check, `orca.yaml`.

    Takes a minute at most and stores nothing. When no builder fits, `hints` says what to do; a source that cannot be
    fetched is a 422 whose `code` and `hint` say why. A directory is named by the `upload_id` of its upload.
    """
    return await cancel_on_disconnect(request, detect(resources, scope, project_id, body.source))


@router.post(
    "/projects/{project_id}/detect/archive",
    summary="Look at a source tree",
    openapi_extra=TAR_BODY,
    max_body_size=ANY_SIZE,
)
@guard("service.create", tenant="project_id", rate="write", audit="SourceInspected", seconds=None)
async def detect_source_archive(
    project_id: str, request: Request, scope: CurrentScope, resources: CurrentResources
) -> Detected:
    """Detect the same for a directory that is sent in the request and not stored."""
    stored = await receive_archive(request, resources)
    try:
        return await detect_archive(resources, scope, project_id, stored.path)
    finally:
        await run_in_thread(stored.path.unlink, missing_ok=True)
