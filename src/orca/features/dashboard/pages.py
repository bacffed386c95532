"""The overview, the lists of projects and their services, and the command palette."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response

from orca.db import ReadSession, WriteSession
from orca.features.dashboard import access_pages, project_pages, queries
from orca.features.dashboard.lookup import find_place, look_up
from orca.features.dashboard.palette import (
    Entry,
    Group,
    found_groups,
    new_service,
    place_of,
    read_words,
    service_entries,
    without_shown,
)
from orca.features.dashboard.queries import RecentDeployment
from orca.features.dashboard.views import ServiceRow, read_rows, read_states
from orca.features.projects.actions import create_project
from orca.features.projects.models import Project
from orca.features.projects.queries import list_projects, read_naming
from orca.features.projects.rules import Proposal, propose_slug
from orca.features.projects.schemas import ProjectFields
from orca.kit.pagination import Cursor, PageRequest
from orca.web.answers import Done, submit
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
from orca.web.nav import navigation
from orca.web.render import render

router = Router(include_in_schema=False)
take_routes(router, project_pages.router, access_pages.router)
SHOWN = 50
TROUBLES = {
    "crash-looping": "Its process keeps ending.",
    "crashed": "Its process ended.",
    "degraded": "Not all of its replicas run.",
    "down": "It is deployed with no replicas.",
    "failed": "Its deployments failed.",
}
"""State of a service that needs a look -> what that means, where nothing more is known."""
TROUBLES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Trouble:
    """A service that needs a look, why, and where more of it is told."""

    service: ServiceRow
    reason: str
    href: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page."""

    troubles: Sequence[Trouble]
    services: Sequence[ServiceRow]
    counts: Mapping[str, int]
    recent: Sequence[RecentDeployment]
    new_service: str


@router.get("/")
@narrowed("service.read")
@guard(SIGNED_IN, page=True)
async def overview(
    request: Request, session: ReadSession, scope: CurrentScope, resources: CurrentResources, subject: CurrentSubject
) -> Response:
    """What runs, what needs a look, what happened; as far as the subject may read it."""
    services = await queries.list_all_services(session, scope) if subject.can_anywhere("service.read") else []
    recent = await queries.list_recent(session, scope) if subject.can_anywhere("deployment.read") else []
    projects = await queries.list_project_ids(session, scope, limit=2) if subject.can_anywhere("project.read") else []
    states = await read_states(session, scope, resources, services)
    counts = {
        "services": len(services),
        "running": sum(state == "running" for state in states.values()),
        "troubled": sum(state in TROUBLES for state in states.values()),
        "deploying": sum(state == "deploying" for state in states.values()),
    }
    first = sorted(services, key=lambda service: states[service.id] not in TROUBLES)[:SHOWN]
    rows = await read_rows(session, scope, resources, first, states)
    troubles = await _troubles(session, scope, [row for row in rows if row.state in TROUBLES][:TROUBLES_SHOWN])
    return render(request, "dashboard/overview.html", Overview(troubles, rows, counts, recent, _new_service(projects)))


async def _troubles(session: ReadSession, scope: CurrentScope, rows: Sequence[ServiceRow]) -> list[Trouble]:
    """One that never went live is explained by its last failed deployment; the others by what their processes wrote."""
    never_live = [row.id for row in rows if row.state == "failed"]
    failures = await queries.list_failures(session, scope, never_live)
    return [
        Trouble(row, failures[row.id].reason, f"/deployments/{failures[row.id].id}")
        if row.id in failures
        else Trouble(row, TROUBLES[row.state], f"/services/{row.id}/output")
        for row in rows
    ]


def _new_service(projects: Sequence[str]) -> str:
    """Where a service is made: in the only project there is, or in one that has to be chosen first."""
    return f"/projects/{projects[0]}/services/new" if len(projects) == 1 else "/projects?choosing=true"


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
@narrowed()
@guard("project.read", page=True)
async def show_projects(
    request: Request, session: ReadSession, scope: CurrentScope, cursor: Cursor = None, *, choosing: bool = False
) -> Response:
    """Projects, and the form to make one. When `choosing` they lead to the form for a new service."""
    page = replace(await _projects_page(session, scope, cursor), choosing=choosing)
    return render(request, "dashboard/projects.html", page)


async def _projects_page(session: ReadSession, scope: CurrentScope, cursor: str | None) -> ProjectsPage:
    page = await list_projects(session, scope, PageRequest(cursor=cursor))
    counts = await queries.count_services(session, scope, [project.id for project in page.items])
    return ProjectsPage(page.items, counts, page.next_cursor)


@dataclass(frozen=True, slots=True)
class SlugFragment:
    """The slug that the form of a new project should hold."""

    proposal: Proposal


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
async def make_project(request: Request, session: WriteSession, scope: CurrentScope, form: Form) -> Response:
    """Make a project and go there."""
    filled = fill(ProjectFields, {key: value for key, value in form.items() if value}, form)

    async def make(fields: ProjectFields) -> Done:
        project = await create_project(session, scope, fields)
        return Done(f"/projects/{project.id}", f"{project.name} is created")

    async def draw(again: Filled[ProjectFields]) -> Response:
        page = replace(await _projects_page(session, scope, None), form=again)
        return render(request, "dashboard/projects.html", page, status=422)

    return await submit(request, session, filled, make, draw)


@dataclass(frozen=True, slots=True)
class PaletteResults:
    """What the palette shows."""

    groups: Sequence[Group]
    query: str


@router.get("/palette")
@narrowed("service.read")
@guard(SIGNED_IN, page=True)
async def palette(
    request: Request,
    session: ReadSession,
    scope: CurrentScope,
    subject: CurrentSubject,
    q: str = "",
    hx_current_url: Annotated[str, Header(max_length=2000)] = "",
) -> Response:
    """What can be done with what the page is about; services, projects and pages by name, and what to do with them."""
    words = read_words(q[:100])
    here: list[Entry] = []
    found: list[Group] = []
    service = None
    if subject.can_anywhere("service.read"):
        service, project = await find_place(session, scope, place_of(hx_current_url))
        here = [*(service_entries(service, subject) if service else [])]
        here += (
            [new_service(project)] if project and subject.can("service.create", project.scope(subject.team_id)) else []
        )
        here = [entry for entry in here if words.fit(entry)]
        found = found_groups(words, subject, await look_up(session, scope, words))
    pages = [Entry(item.label, item.href, item.icon, "page") for item in navigation(request.app.state.menus, subject)]
    found.append(Group("Pages", [entry for entry in pages if words.fit(entry)]))
    groups = without_shown([Group(service.name if service else "Here", here)], ()) + without_shown(found, here)
    return render(request, "dashboard/_palette.html", PaletteResults(groups, q[:100]))
