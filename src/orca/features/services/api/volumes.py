"""REST doors of volumes. Detaching keeps the data; destroying it is a separate endpoint."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from orca.db import ReadSession, WriteSession
from orca.features.services import actions, volume_queries
from orca.features.services.models import Volume
from orca.features.services.schemas.services import Confirmation
from orca.features.services.schemas.volumes import VolumeChanges, VolumeFields, VolumeFilter, VolumeOut
from orca.kit.pagination import Page
from orca.web.guard import CurrentResources, CurrentScope, Router, guard, narrowed

router = Router(prefix="/api/v1", tags=["volumes"])


@router.get("/projects/{project_id}/volumes", response_model=Page[VolumeOut], summary="List a project's volumes")
@narrowed()
@guard("volume.read", tenant="project_id")
async def list_project_volumes(
    project_id: str, session: ReadSession, scope: CurrentScope, wanted: Annotated[VolumeFilter, Query()]
) -> Page[VolumeOut]:
    """List the volumes of a project, including detached ones, newest first."""
    return await volume_queries.list_project_volumes(session, scope, project_id, wanted)


@router.get("/services/{service_id}/volumes", response_model=list[VolumeOut], summary="List a service's volumes")
@guard("volume.read", tenant="service_id")
async def list_volumes(service_id: str, session: ReadSession, scope: CurrentScope) -> Sequence[VolumeOut]:
    """List the volumes of a service by name."""
    return await volume_queries.list_volumes(session, scope, service_id)


@router.post("/services/{service_id}/volumes", status_code=201, response_model=VolumeOut, summary="Attach a volume")
@guard("volume.create", tenant="service_id", rate="write", audit="VolumeAttached")
async def attach_volume(service_id: str, body: VolumeFields, session: WriteSession, scope: CurrentScope) -> VolumeOut:
    """Attach a new volume, or one of the environment, which other services may mount as well.

    It is mounted from the next deployment on. An owner other than that of a volume that others mount is refused.
    """
    return await _describe(session, await actions.attach_volume(session, scope, service_id, body), service_id)


@router.patch("/services/{service_id}/volumes/{volume_id}", response_model=VolumeOut, summary="Change a volume")
@guard("volume.update", tenant="service_id", rate="write", audit="VolumeUpdated")
async def update_volume(
    service_id: str, volume_id: str, body: VolumeChanges, session: WriteSession, scope: CurrentScope
) -> VolumeOut:
    """Change the owner or mode of the data, for all services that mount it, or whether this one may only read it.

    The next deployment changes the owner of the existing data.
    """
    volume = await actions.update_volume(session, scope, service_id, volume_id, body)
    return await _describe(session, volume, service_id)


@router.delete("/services/{service_id}/volumes/{volume_id}", status_code=204, summary="Detach a volume")
@guard("volume.update", tenant="service_id", rate="write", audit="VolumeDetached")
async def detach_volume(service_id: str, volume_id: str, session: WriteSession, scope: CurrentScope) -> None:
    """Detach a volume from the next deployment on. Its data is kept and can be attached again.

    Other services that mount it are not affected.
    """
    await actions.detach_volume(session, scope, service_id, volume_id)


@router.post(
    "/volumes/{volume_id}/destroy", status_code=202, response_model=VolumeOut, summary="Destroy a volume and its data"
)
@guard("volume.delete", tenant="volume_id", rate="write", audit="VolumeDestructionRequested")
async def destroy_volume(
    volume_id: str, body: Confirmation, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> VolumeOut:
    """Destroy a volume and its data, which cannot be undone. Only for a detached volume, confirmed with its name."""
    volume = await actions.request_destruction(session, resources.tasks, scope, volume_id, body.confirm)
    return await _describe(session, volume)


async def _describe(session: WriteSession, volume: Volume, service_id: str | None = None) -> VolumeOut:
    (seen,) = await volume_queries.describe_volumes(session, [volume], service_id)
    return seen
