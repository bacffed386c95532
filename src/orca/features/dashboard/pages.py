"""The overview, the lists of projects and their services, and the command palette."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput, OrcaError
from orca.features.dashboard import queries
from orca.features.dashboard.queries import Listed, Match, RecentDeployment
from orca.features.deployments.views import states_of_services
from orca.features.routing.queries import list_urls_by_service
from orca.features.services.actions import create_project, delete_project, update_project
from orca.features.services.models import Project
from orca.features.services.queries import get_project, list_projects, list_services
from orca.features.services.schemas import ProjectChanges, ProjectFields
from orca.kit.pagination import Cursor
from orca.web.forms import Filled, Form, fill
from orca.web.guard import SIGNED_IN, CurrentResources, CurrentScope, CurrentSubject, Router, guard
from orca.web.nav import navigation
from orca.web.render import render

router = Router(include_in_schema=False)
SEE_OTHER = 303
SHOWN = 50
TROUBLED = frozenset({"crash-looping", "crashed", "degraded", "down", "failed"})


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service in a list."""

    id: str
    name: str
    project: str
    state: str
    url: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page."""

    services: Sequence[ServiceRow]
    counts: Mapping[str, int]
    recent: Sequence[RecentDeployment]
    new_service: str


@router.get("/")
@guard(SIGNED_IN, page=True)
async def overview(
    request: Request, session: ReadSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """What runs, what needs a look, what happened."""
    services = await queries.list_all_services(session, scope)
    recent = await queries.list_recent(session, scope)
    projects = await queries.list_project_ids(session, scope, limit=2)
    states = await _states(session, scope, resources, services)
    counts = {
        "services": len(services),
        "running": sum(state == "running" for state in states.values()),
        "troubled": sum(state in TROUBLED for state in states.values()),
        "deploying": sum(state == "deploying" for state in states.values()),
    }
    first = sorted(services, key=lambda each: states[each.id] not in TROUBLED)[:SHOWN]
    rows = await _rows(session, scope, resources, first, states)
    return render(request, "dashboard/overview.html", Overview(rows, counts, recent, _new_service(projects)))


def _new_service(projects: Sequence[str]) -> str:
    """Where a service is made: in the only project there is, or in one that has to be chosen first."""
    return f"/projects/{projects[0]}/services/new" if len(projects) == 1 else "/projects?choosing=true"


async def _states(
    session: ReadSession, scope: CurrentScope, resources: CurrentResources, services: Sequence[Listed]
) -> Mapping[str, str]:
    desired = {service.id: service.desired_state for service in services}
    return await states_of_services(session, scope, resources, desired)


async def _rows(
    session: ReadSession,
    scope: CurrentScope,
    resources: CurrentResources,
    services: Sequence[Listed],
    states: Mapping[str, str],
) -> list[ServiceRow]:
    names = await queries.project_names(session, scope, [service.project_id for service in services])
    urls = await list_urls_by_service(session, resources.settings, [service.id for service in services])
    return [
        ServiceRow(each.id, each.name, names.get(each.project_id, ""), states[each.id], next(iter(urls[each.id]), ""))
        for each in services
    ]


@dataclass(frozen=True, slots=True)
class ProjectsPage:
    """All projects."""

    projects: Sequence[Project]
    counts: Mapping[str, int]
    next_cursor: str | None
    choosing: bool = False
    """Whether a project is wanted for a new service."""
    form: Filled[Any] = field(default_factory=Filled)


@router.get("/projects")
@guard("project.read", page=True)
async def show_projects(
    request: Request, session: ReadSession, scope: CurrentScope, cursor: Cursor = None, *, choosing: bool = False
) -> Response:
    """Projects, and the form to make one. When `choosing` they lead to the form for a new service."""
    page = replace(await _projects_page(session, scope, cursor), choosing=choosing)
    return render(request, "dashboard/projects.html", page)


async def _projects_page(session: ReadSession, scope: CurrentScope, cursor: str | None) -> ProjectsPage:
    page = await list_projects(session, scope, limit=50, cursor=cursor)
    counts = await queries.count_services(session, scope, [project.id for project in page.items])
    return ProjectsPage(page.items, counts, page.next_cursor)


@router.post("/projects")
@guard("project.create", rate="write", audit="ProjectCreated", page=True)
async def make_project(request: Request, session: WriteSession, scope: CurrentScope, form: Form) -> Response:
    """Make a project and go there."""
    filled = fill(ProjectFields, {key: value for key, value in form.items() if value}, form)
    if filled.model is not None:
        try:
            project = await create_project(session, scope, filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return RedirectResponse(f"/projects/{project.id}", SEE_OTHER)
    page = replace(await _projects_page(session, scope, None), form=filled)
    return render(request, "dashboard/projects.html", page, status=422)


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """One project."""

    project: Project
    services: Sequence[ServiceRow]
    next_cursor: str | None


@router.get("/projects/{project_id}")
@guard("project.read", tenant="project_id", page=True)
async def show_project(
    project_id: str,
    request: Request,
    session: ReadSession,
    scope: CurrentScope,
    resources: CurrentResources,
    cursor: Cursor = None,
) -> Response:
    """Its services."""
    project = await get_project(session, scope, project_id)
    page = await list_services(session, scope, project_id, limit=50, cursor=cursor)
    services = [Listed(each.id, each.name, each.project_id, each.desired_state) for each in page.items]
    states = await _states(session, scope, resources, services)
    rows = await _rows(session, scope, resources, services, states)
    return render(request, "dashboard/project.html", ProjectPage(project, rows, page.next_cursor))


@router.post("/projects/{project_id}/rename")
@guard("project.update", tenant="project_id", rate="write", audit="ProjectUpdated", page=True)
async def rename_project(project_id: str, session: WriteSession, scope: CurrentScope, form: Form) -> Response:
    """Another name or description."""
    filled = fill(ProjectChanges, {key: value for key, value in form.items() if value}, form)
    if filled.model is None:
        raise BadInput("the name or the description cannot be used", fields=dict(filled.errors))
    await update_project(session, scope, project_id, filled.model)
    return RedirectResponse(f"/projects/{project_id}", SEE_OTHER)


@router.post("/projects/{project_id}/delete")
@guard("project.delete", tenant="project_id", rate="write", audit="ProjectDeleted", page=True)
async def remove_project(project_id: str, session: WriteSession, scope: CurrentScope, form: Form) -> Response:
    """Only an empty project goes, and only by its name."""
    project = await get_project(session, scope, project_id)
    if form.get("confirm") != project.name:
        raise BadInput("the name does not match, so nothing was deleted", hint=f"Type “{project.name}”.")
    await delete_project(session, scope, project_id)
    return RedirectResponse("/projects", SEE_OTHER)


@dataclass(frozen=True, slots=True)
class Group:
    """A group of things the palette found."""

    label: str
    items: Sequence[Match]


@dataclass(frozen=True, slots=True)
class PaletteResults:
    """What the palette shows."""

    groups: Sequence[Group]
    query: str


@router.get("/palette")
@guard(SIGNED_IN, page=True)
async def palette(
    request: Request, session: ReadSession, scope: CurrentScope, subject: CurrentSubject, q: str = ""
) -> Response:
    """Services, projects and pages by name."""
    services, projects = await queries.search(session, scope, q[:100]) if subject.can("service.read") else ([], [])
    pages = [
        Match(item.label, item.href, item.icon, "page")
        for item in navigation(subject)
        if q.lower() in item.label.lower()
    ]
    groups = [Group("Services", services), Group("Projects", projects), Group("Pages", pages)]
    return render(
        request, "dashboard/_palette.html", PaletteResults([group for group in groups if group.items], q[:100])
    )
