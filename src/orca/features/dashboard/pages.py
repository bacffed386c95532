"""The overview, and the lists of projects and their services."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.features.dashboard import (
    access_pages,
    bulk_pages,
    palette_pages,
    project_pages,
    queries,
    settings_pages,
    switcher_pages,
)
from orca.features.dashboard.checklist import ChecklistEntry, read_checklist
from orca.features.dashboard.queries import RecentDeployment
from orca.features.dashboard.views import ProjectRow, ServiceListRow, list_project_rows, list_service_rows
from orca.features.deployments.observer import watching
from orca.features.projects.actions import create_project
from orca.features.projects.queries import read_naming
from orca.features.projects.rules import SlugFragment, propose_slug
from orca.features.projects.schemas import ProjectFields
from orca.web.answers import Redirect, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import (
    SIGNED_IN,
    CurrentResources,
    CurrentScope,
    CurrentSubject,
    Router,
    guard,
    narrowed,
    take_routes,
)
from orca.web.lists import AskedOf, Listing, ListQuery
from orca.web.live import stream_fragment
from orca.web.render import draw, render, render_list

router = Router(include_in_schema=False)
take_routes(
    router,
    project_pages.router,
    access_pages.router,
    bulk_pages.router,
    palette_pages.router,
    settings_pages.router,
    switcher_pages.router,
)


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page."""

    listing: Listing[ServiceListRow]
    recent: Sequence[RecentDeployment]
    new_service: str
    sees_all: bool
    """Whether its services are all that the team has."""
    checklist: Sequence[ChecklistEntry] = ()


async def _read_overview(
    session: AsyncSession, scope: CurrentScope, resources: CurrentResources, subject: CurrentSubject, asked: ListQuery
) -> Overview:
    recent = await queries.list_recent(session, scope) if subject.can_anywhere("deployment.read") else []
    projects = await queries.list_project_ids(session, scope, limit=2) if subject.can_anywhere("project.read") else []
    return Overview(
        await list_service_rows(session, scope, resources, asked),
        recent, _new_service(projects), subject.can("service.read", subject.whole_team),
    )  # fmt: skip


@router.get("/")
@narrowed("service.read")
@guard(SIGNED_IN, page=True)
async def overview(
    request: Request,
    session: ReadSession,
    scope: CurrentScope,
    resources: CurrentResources,
    subject: CurrentSubject,
    asked: AskedOf,
) -> Response:
    """What runs, what needs a look, what happened; as far as the subject may read it."""
    page = await _read_overview(session, scope, resources, subject, asked)
    if page.listing.total:
        page = replace(page, checklist=await read_checklist(request, session, scope, subject, page.new_service))
    return render_list(request, "dashboard/overview.html", page, page.listing)


@router.get("/live/overview")
@narrowed("service.read")
@guard(SIGNED_IN, rate="stream", page=True)
async def follow_overview(
    request: Request, scope: CurrentScope, resources: CurrentResources, subject: CurrentSubject, asked: AskedOf
) -> StreamingResponse:
    """Stream the rows of the overview."""

    async def draw_now() -> tuple[str, bool]:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            page = await _read_overview(session, scope, resources, subject, asked)
        return draw(request, "dashboard/_overview.html", page, shared=True), False

    return stream_fragment(request, draw_now, watching(resources), shared=True)


def _new_service(projects: Sequence[str]) -> str:
    """Where a service is made: in the only project there is, or in one that has to be chosen first."""
    return f"/projects/{projects[0]}/services/new" if len(projects) == 1 else "/projects?choosing=true"


@dataclass(frozen=True, slots=True)
class ProjectsPage:
    """All projects."""

    listing: Listing[ProjectRow]
    choosing: bool = False
    """Whether a project is wanted for a new service."""
    form: Filled[Any] = field(default_factory=Filled)


@router.get("/projects")
@narrowed()
@guard("project.read", page=True)
async def show_projects(
    request: Request, session: ReadSession, scope: CurrentScope, resources: CurrentResources, asked: AskedOf,
    *, choosing: bool = False,
) -> Response:  # fmt: skip
    """Projects, and the form to make one. When `choosing` they lead to the form for a new service."""
    page = ProjectsPage(await list_project_rows(session, scope, resources, asked), choosing)
    return render_list(request, "dashboard/projects.html", page, page.listing)


@router.get("/live/projects")
@narrowed()
@guard("project.read", rate="stream", page=True)
async def follow_projects(
    request: Request, scope: CurrentScope, resources: CurrentResources, asked: AskedOf, *, choosing: bool = False
) -> StreamingResponse:
    """Stream the rows of the projects."""

    async def draw_now() -> tuple[str, bool]:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            page = ProjectsPage(await list_project_rows(session, scope, resources, asked), choosing)
        return draw(request, "dashboard/_projects.html", page, shared=True), False

    return stream_fragment(request, draw_now, watching(resources), shared=True)


@router.get("/projects/new/slug")
@guard("project.create", page=True)
async def suggest_slug(
    request: Request, session: ReadSession, scope: CurrentScope, name: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Return the slug for a name that is being typed, or why there is none."""
    naming = await read_naming(session, scope)
    return render(request, "projects/_slug.html", SlugFragment(propose_slug(naming, name)))


@router.post("/projects")
@guard("project.create", rate="write", audit="ProjectCreated", page=True)
async def make_project(
    request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Make a project and go there."""
    filled = fill(ProjectFields, {key: value for key, value in form.items() if value}, form)

    async def make(fields: ProjectFields) -> Redirect:
        project = await create_project(session, scope, fields)
        return Redirect(f"/projects/{project.id}", f"{project.name} is created")

    async def draw_form(again: Filled[ProjectFields]) -> Response:
        page = ProjectsPage(await list_project_rows(session, scope, resources, ListQuery()), form=again)
        return render(request, "dashboard/projects.html", page, status=422)

    return await submit(request, session, filled, make, draw_form)
