"""REST doors that look at a source before a service is made of it."""

import asyncio

from fastapi import Request

from orca.features.services.detection import Detected, SourceToDetect
from orca.features.services.pipeline import DEADLINE, detect, detect_archive
from orca.features.sources.api.uploads import ANY_SIZE, TAR_BODY, receive_archive
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.leaving import until_gone

router = Router(prefix="/api/v1", tags=["services"])


@router.post("/projects/{project_id}/detect", summary="Look at a source")
@guard("service.create", tenant="project_id", rate="write", audit="SourceInspected", seconds=2 * DEADLINE)
async def detect_source(
    project_id: str, body: SourceToDetect, request: Request, scope: CurrentScope, resources: CurrentResources
) -> Detected:
    """What a service made of this source would be: builder, Dockerfile, port, command, health check, `orca.yaml`.

    Takes a minute at most and keeps nothing. When nothing fits, `hints` says what to do; a source that cannot be
    fetched is a 422 whose `code` and `hint` say why. A directory is named by the `upload_id` of what was sent.
    """
    return await until_gone(request, detect(resources, scope, project_id, body.source))


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
    """The same for a directory that is sent for this look only."""
    stored = await receive_archive(request, resources)
    try:
        return await detect_archive(resources, scope, project_id, stored.path)
    finally:
        await asyncio.to_thread(stored.path.unlink, missing_ok=True)
