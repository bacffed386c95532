"""The page of a project: its services, its volumes, its name, and its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput, OrcaError
from orca.features.dashboard.queries import Listed, list_service_names
from orca.features.dashboard.views import ServiceRow, read_rows, read_states
from orca.features.projects.actions import delete_project, update_project
from orca.features.projects.models import Project
from orca.features.projects.queries import get_project
from orca.features.projects.schemas import ProjectChanges
from orca.features.services.queries import list_services
from orca.features.services.schemas.volumes import VolumeFilter, VolumeOut
from orca.features.services.volume_queries import list_project_volumes
from orca.kit.pagination import Cursor, PageRequest
from orca.kit.text import join
from orca.resources import Resources
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard, narrowed
from orca.web.redirects import see_other
from orca.web.render import render

router = Router(include_in_schema=False)
MOST = 200
"""Services and volumes that are named as being in the way of a deletion."""


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """One project."""

    project: Project
    services: Sequence[ServiceRow]
    next_cursor: str | None
    volumes: Sequence[VolumeOut]
    names: Mapping[str, str]
    """Id -> name of all its services: those and the volumes are in the way of its deletion."""
    form: Filled[Any] = field(default_factory=Filled)
    refusal: str = ""
    """Why it was not deleted."""
    tab: str = "services"


@router.get("/projects/{project_id}")
@narrowed()
@guard("project.read", tenant="project_id", page=True)
async def show_project(
    project_id: str,
    request: Request,
    session: ReadSession,
    scope: CurrentScope,
    resources: CurrentResources,
    cursor: Cursor = None,
) -> Response:
    """Its services and volumes."""
    page = await _read_page(session, scope, resources, project_id, cursor)
    return render(request, "dashboard/project.html", page)


async def _read_page(
    session: AsyncSession, scope: CurrentScope, resources: Resources, project_id: str, cursor: str | None = None
) -> ProjectPage:
    project = await get_project(session, scope, project_id)
    page = await list_services(session, scope, project_id, PageRequest(cursor=cursor))
    volumes = await list_project_volumes(session, scope, project_id, VolumeFilter(limit=MOST))
    names = await list_service_names(session, scope, project_id, limit=MOST)
    services = [Listed(item.id, item.name, item.project_id, item.desired_state) for item in page.items]
    states = await read_states(session, scope, resources, services)
    rows = await read_rows(session, scope, resources, services, states)
    return ProjectPage(project, rows, page.next_cursor, volumes.items, names)


@router.post("/projects/{project_id}/rename")
@guard("project.update", tenant="project_id", rate="write", audit="ProjectUpdated", page=True)
async def rename_project(
    project_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Another name or description."""
    filled = fill(ProjectChanges, {name: form.get(name, "") for name in ("name", "description")}, form)
    if filled.model is not None:
        await update_project(session, scope, project_id, filled.model)
        return see_other(request, f"/projects/{project_id}", said="Saved")
    page = replace(await _read_page(session, scope, resources, project_id), form=filled)
    return render(request, "dashboard/project.html", page, status=filled.status)


@router.post("/projects/{project_id}/delete")
@guard("project.delete", tenant="project_id", rate="write", audit="ProjectDeleted", page=True)
async def remove_project(
    project_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Only an empty project goes, and only by its name."""
    project = await get_project(session, scope, project_id)
    try:
        if form.get("confirm") != project.name:
            raise BadInput("The name does not match, so nothing was deleted", hint=f"Type “{project.name}”.")
        await delete_project(session, scope, project_id)
    except OrcaError as error:
        await session.rollback()
        page = replace(await _read_page(session, scope, resources, project_id), refusal=join(error.message, error.hint))
        return render(request, "dashboard/project.html", page, status=error.status)
    return see_other(request, "/projects", said=f"{project.name} is deleted")
