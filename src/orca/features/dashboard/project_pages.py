"""The page of a project: its services, its volumes, and its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import OrcaError
from orca.features.dashboard.queries import list_service_names
from orca.features.dashboard.views import ServiceListRow, list_service_rows
from orca.features.deployments.observer import watching
from orca.features.projects.actions import create_environment, delete_environment, update_project
from orca.features.projects.models import Environment, Project
from orca.features.projects.queries import get_environment, get_project, list_environments
from orca.features.projects.schemas import EnvironmentFields, ProjectChanges
from orca.features.services.schemas.volumes import VolumeFilter, VolumeOut
from orca.features.services.volume_queries import list_project_volumes
from orca.resources import Resources
from orca.web.answers import Redirect, attempt, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard, narrowed
from orca.web.lists import AskedOf, Listing, ListQuery
from orca.web.live import stream_fragment
from orca.web.redirects import see_other
from orca.web.render import draw, render, render_list

router = Router(include_in_schema=False)
MOST = 200
"""Volumes, and services that are named beside them."""
_AS_USUAL = ListQuery()


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """One project."""

    project: Project
    listing: Listing[ServiceListRow]
    volumes: Sequence[VolumeOut]
    names: Mapping[str, str]
    """Id -> name of its services, which volumes are shown with."""
    environments: Sequence[Environment]
    form: Filled[Any] = field(default_factory=Filled)
    environment_form: Filled[Any] = field(default_factory=Filled)
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
    asked: AskedOf,
) -> Response:
    """Its services and volumes."""
    page = await _read_page(session, scope, resources, project_id, asked)
    return render_list(request, "dashboard/project.html", page, page.listing)


@router.get("/projects/{project_id}/live")
@narrowed()
@guard("project.read", tenant="project_id", rate="stream", page=True)
async def follow_project(
    project_id: str, request: Request, scope: CurrentScope, resources: CurrentResources, asked: AskedOf
) -> StreamingResponse:
    """Stream the rows of its services."""

    async def draw_now() -> tuple[str, bool]:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            page = await _read_page(session, scope, resources, project_id, asked)
        return draw(request, "dashboard/_project.html", page, shared=True), False

    return stream_fragment(request, draw_now, watching(resources), shared=True)


async def _read_page(
    session: AsyncSession, scope: CurrentScope, resources: Resources, project_id: str, asked: ListQuery = _AS_USUAL
) -> ProjectPage:
    project = await get_project(session, scope, project_id)
    volumes = await list_project_volumes(session, scope, project_id, VolumeFilter(limit=MOST))
    names = await list_service_names(session, scope, project_id, limit=MOST)
    listing = await list_service_rows(session, scope, resources, asked, project_id)
    environments = await list_environments(session, scope, project_id)
    return ProjectPage(project, listing, volumes.items, names, environments)


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


@router.post("/projects/{project_id}/environments")
@guard("environment.create", tenant="project_id", rate="write", audit="EnvironmentCreated", page=True)
async def make_environment(
    project_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Make an environment; its services are made at the page New service."""

    async def make(fields: EnvironmentFields) -> Redirect:
        environment = await create_environment(session, scope, project_id, fields)
        return Redirect(f"/projects/{project_id}", f"{environment.name} is created", "Choose it for new services.")

    async def draw_again(filled: Filled[EnvironmentFields]) -> Response:
        errors = {f"environment_{name}" if name else "": text for name, text in filled.errors.items()}
        page = await _read_page(session, scope, resources, project_id)
        page = replace(page, environment_form=Filled(form, errors))
        return render(request, "dashboard/project.html", page, status=filled.status)

    slug = form.get("environment_slug")
    data = {"name": form.get("environment_name", ""), **({"slug": slug} if slug else {})}
    return await submit(request, session, fill(EnvironmentFields, data, form), make, draw_again)


@router.post("/environments/{environment_id}/delete")
@guard("environment.delete", tenant="environment_id", rate="write", audit="EnvironmentDeleted", page=True)
async def remove_environment(
    environment_id: str, request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Delete an environment without services and volumes."""
    environment = await get_environment(session, scope, environment_id)
    project_id, name = environment.project_id, environment.name

    async def draw_again(refusal: OrcaError) -> Response:
        page = await _read_page(session, scope, resources, project_id)
        page = replace(page, environment_form=Filled().refused(refusal))
        return render(request, "dashboard/project.html", page, status=refusal.status)

    act = delete_environment(session, scope, environment_id)
    return await attempt(request, session, act, Redirect(f"/projects/{project_id}", f"{name} is deleted"), draw_again)
