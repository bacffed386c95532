"""The page of a service's volumes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput
from orca.features.projects.models import Project
from orca.features.services import actions, queries, volume_queries
from orca.features.services.forms import given
from orca.features.services.models import Service
from orca.features.services.schemas.volumes import VolumeChanges, VolumeFields, VolumeFilter, VolumeOut
from orca.features.services.service_status import ServiceStatus, load_header
from orca.web.answers import Redirect, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.redirects import see_other
from orca.web.render import render

router = Router(include_in_schema=False)
NEXT_DEPLOYMENT = "It is there from the next deployment on."
FIRST_VOLUME = (
    f"{NEXT_DEPLOYMENT} From then on a deployment stops the old release first; Settings → Strategy changes that."
)


@dataclass(frozen=True, slots=True)
class VolumesPage:
    """The page of a service's volumes."""

    service: Service
    project: Project
    status: ServiceStatus
    volumes: Sequence[VolumeOut]
    attachable: Sequence[VolumeOut]
    """Volumes of the environment that it does not mount yet."""
    detached: Sequence[VolumeOut]
    form: Filled[VolumeFields] = field(default_factory=Filled)
    next_deployment: str = NEXT_DEPLOYMENT
    first_volume: str = FIRST_VOLUME
    tab: str = "volumes"


@router.get("/services/{service_id}/volumes")
@guard("service.read", tenant="service_id", page=True)
async def show_volumes(service_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Show attached volumes, and detached ones of the project."""
    return await _draw_volumes(request, session, scope, service_id, Filled())


async def _draw_volumes(
    request: Request, session: AsyncSession, scope: CurrentScope, service_id: str, form: Filled[VolumeFields]
) -> Response:
    head = await load_header(request, session, scope, service_id)
    own = await volume_queries.list_volumes(session, scope, service_id)
    attachable = await volume_queries.list_attachable(session, scope, head.service)
    wanted = VolumeFilter(limit=200, state="detached")
    detached = await volume_queries.list_project_volumes(session, scope, head.project.id, wanted)
    page = VolumesPage(*head, own, attachable, detached.items, form)
    return render(request, "services/volumes.html", page, status=form.status)


@router.post("/services/{service_id}/volumes")
@guard("volume.create", tenant="service_id", rate="write", audit="VolumeAttached", page=True)
async def attach_volume(
    service_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Attach a new volume, or one of the environment; it is mounted from the next deployment on."""

    async def attach(fields: VolumeFields) -> Redirect:
        volume = await actions.attach_volume(session, scope, service_id, fields)
        service = await queries.get_service(session, scope, service_id)
        is_first = len(await volume_queries.list_attached(session, scope, service_id)) == 1
        hint = FIRST_VOLUME if is_first and service.strategy == "auto" else NEXT_DEPLOYMENT
        return Redirect(f"/services/{service_id}/volumes", f"Volume {volume.name} added", hint)

    data = given(form, "name", "path", "volume_id", "owner", "mode", "read_only")
    if "volume_id" in data:  # the form of volumes that exist has an input of its own for the path
        data["path"] = form.get("at", "")
    filled = fill(VolumeFields, data, form)
    return await submit(request, session, filled, attach, partial(_draw_volumes, request, session, scope, service_id))


@router.post("/services/{service_id}/volumes/{volume_id}")
@guard("volume.update", tenant="service_id", rate="write", audit="VolumeUpdated", page=True)
async def update_volume(
    service_id: str, volume_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Change the owner or mode of the data, from the next deployment on."""
    filled = fill(VolumeChanges, {"owner": form.get("owner", ""), "mode": form.get("mode", "")}, form)
    if filled.model is None:
        field, problem = next(iter(filled.errors.items()))
        raise BadInput(f"{field}: {problem}", hint="Write 10001 or 10001:10001, and a mode such as 0750.")
    volume = await actions.update_volume(session, scope, service_id, volume_id, filled.model)
    place, hint = f"/services/{service_id}/volumes", "It takes effect with the next deployment."
    return see_other(request, place, said=f"Volume {volume.name} changed", hint=hint)


@router.post("/services/{service_id}/volumes/{volume_id}/detach")
@guard("volume.update", tenant="service_id", rate="write", audit="VolumeDetached", page=True)
async def detach_volume(
    service_id: str, volume_id: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Detach a volume; its data stays."""
    await actions.detach_volume(session, scope, service_id, volume_id)
    return see_other(request, f"/services/{service_id}/volumes", said="Volume detached", hint="Its data is kept.")


@router.post("/volumes/{volume_id}/destroy")
@guard("volume.delete", tenant="volume_id", rate="write", audit="VolumeDestructionRequested", page=True)
async def destroy_volume(
    volume_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Destroy a detached volume with its data, after its name was typed."""
    volume = await actions.request_destruction(session, resources.tasks, scope, volume_id, form.get("confirm", ""))
    return see_other(request, f"/projects/{volume.project_id}", said=f"Volume {volume.name} is being destroyed")
