"""Services and projects as lists show them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.dashboard import queries
from orca.features.dashboard.queries import LatestDeployment, ServiceSummary
from orca.features.deployments.observer import survey_recently
from orca.features.deployments.states import observe_services
from orca.features.projects.models import Project
from orca.features.routing.queries import list_urls_by_service
from orca.resources import Resources
from orca.web.guard import Scope
from orca.web.lists import Column, Grouping, Listing, ListQuery, ListSpec, arrange

TROUBLES: Final = {
    "crash-looping": "Its process keeps ending.",
    "crashed": "Its process ended.",
    "degraded": "Not all of its replicas run.",
    "down": "It is deployed with no replicas.",
    "failed": "Its deployments failed.",
}
"""State of a service that needs a look -> what that means, where nothing more is known."""
_RANKS = ("failed", "crash-looping", "crashed", "down", "degraded", "deploying", "unknown", "running", "stopped")
_STATES = (
    ("trouble", "Need a look", frozenset(TROUBLES)),
    ("running", "Running", frozenset({"running"})),
    ("deploying", "Deploying", frozenset({"deploying"})),
    ("stopped", "Stopped", frozenset({"stopped"})),
    ("empty", "Not deployed", frozenset({"empty"})),
    ("unknown", "Unknown", frozenset({"unknown"})),
)


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service and its word."""

    listed: ServiceSummary
    state: str


@dataclass(frozen=True, slots=True)
class ServiceListRow:
    """A service in a list, with what only the rows of the page have."""

    id: str
    name: str
    project_id: str
    project: str
    environment: str
    state: str
    url: str
    latest: LatestDeployment | None

    @property
    def host(self) -> str:
        """Its address as people read it."""
        return self.url.partition("://")[2].removesuffix("/")

    @property
    def reason(self) -> str:
        """Why it needs a look; empty when it does not."""
        if self.state not in TROUBLES:
            return ""
        is_known = self.state == "failed" and self.latest is not None and self.latest.reason
        return self.latest.reason if is_known and self.latest else TROUBLES[self.state]

    @property
    def reason_href(self) -> str:
        """Where more of that is: one that never went live is explained by its deployment, others by their output."""
        is_deployment = self.state == "failed" and self.latest is not None
        return f"/deployments/{self.latest.id}" if is_deployment and self.latest else f"/services/{self.id}/output"


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project in a list, with the states of its services."""

    project: Project
    services: int
    states: Sequence[tuple[str, int]]
    """How many services are in each state, those that need a look first."""

    @property
    def state(self) -> str:
        """The state of the service that needs a look most; `empty` without services."""
        return self.states[0][0] if self.states else "empty"


def rank_of(state: str) -> int:
    """Return the place of a state in lists: those that need a look come first."""
    return _RANKS.index(state) if state in _RANKS else len(_RANKS)


def _list_spec(*, with_project: bool, with_environment: bool) -> ListSpec[ServiceState]:
    columns = [Column("name", "Service", sorts=True), Column("state", "State", sorts=True)]
    columns += [Column("project", "Project", sorts=True, optional=True)] if with_project else []
    columns += [Column("environment", "Environment", sorts=True, optional=True)] if with_environment else []
    columns += [Column("url", "Answers at", optional=True), Column("latest", "Last deployment", optional=True)]
    by_project: Grouping[ServiceState] = Grouping(
        "project", "Project", lambda row: row.listed.project, lambda row: f"/projects/{row.listed.project_id}"
    )
    by_environment: Grouping[ServiceState] = Grouping("environment", "Environment", lambda row: row.listed.environment)
    groups = [*([by_project] if with_project else []), *([by_environment] if with_environment else [])]
    return ListSpec(
        name="services", columns=columns, identity=lambda row: row.listed.id, state=lambda row: row.state,
        text=lambda row: f"{row.listed.name} {row.listed.slug} {row.listed.project}", states=_STATES,
        usual_sort="state", groups=groups,
        keys={
            "name": lambda row: row.listed.name.casefold(),
            "state": lambda row: (rank_of(row.state), row.listed.name.casefold()),
            "project": lambda row: (row.listed.project.casefold(), row.listed.name.casefold()),
            "environment": lambda row: (row.listed.environment.casefold(), row.listed.name.casefold()),
        },
    )  # fmt: skip


async def read_states(
    session: AsyncSession, scope: Scope, resources: Resources, services: Sequence[ServiceSummary]
) -> Mapping[str, str]:
    """Service id -> its word. The session is closed meanwhile."""
    desired = {service.id: service.desired_state for service in services}
    seen = await observe_services(session, scope, resources, desired, look=survey_recently) if desired else {}
    return {service_id: state.state for service_id, state in seen.items()}


async def list_service_rows(
    session: AsyncSession, scope: Scope, resources: Resources, asked: ListQuery, project_id: str | None = None
) -> Listing[ServiceListRow]:
    """Return the page that is asked for of the services of a team, or of one project."""
    path, live = (
        ("/", "/live/overview") if project_id is None else (f"/projects/{project_id}", f"/projects/{project_id}/live")
    )
    services = await queries.list_all_services(session, scope, project_id)
    states = await read_states(session, scope, resources, services)
    found = [ServiceState(service, states[service.id]) for service in services]
    has_more = any(not service.is_first for service in services)
    spec = _list_spec(with_project=project_id is None, with_environment=has_more)
    listing = arrange(found, asked, spec, path, live=live)
    shown = [row.listed.id for row in listing.rows]
    urls = await list_urls_by_service(session, resources.settings, shown)
    latest = await queries.list_latest(session, scope, shown)

    def complete(row: ServiceState) -> ServiceListRow:
        one = row.listed
        url = next(iter(urls[one.id]), "")
        return ServiceListRow(
            one.id, one.name, one.project_id, one.project, one.environment, row.state, url,
            latest.get(one.id),
        )  # fmt: skip

    return listing.with_rows(complete)


_PROJECTS: ListSpec[ProjectRow] = ListSpec(
    name="projects",
    columns=(
        Column("name", "Project", sorts=True), Column("state", "Services", sorts=True),
        Column("description", "Description", optional=True), Column("made", "Made", sorts=True, optional=True),
    ),
    identity=lambda row: row.project.id, state=lambda row: row.state,
    text=lambda row: f"{row.project.name} {row.project.slug} {row.project.description}",
    states=_STATES, usual_sort="-made",
    keys={
        "name": lambda row: row.project.name.casefold(), "made": lambda row: row.project.created_at,
        "state": lambda row: (rank_of(row.state), row.project.name.casefold()),
    },
)  # fmt: skip


async def list_project_rows(
    session: AsyncSession, scope: Scope, resources: Resources, asked: ListQuery
) -> Listing[ProjectRow]:
    """Return the page that is asked for of the projects of a team."""
    projects = await queries.list_all_projects(session, scope)
    services = await queries.list_all_services(session, scope)
    states = await read_states(session, scope, resources, services)
    counts: dict[str, Counter[str]] = {project.id: Counter() for project in projects}
    for service in services:
        if service.project_id in counts:
            counts[service.project_id][states[service.id]] += 1
    rows = [
        ProjectRow(
            project, counts[project.id].total(), sorted(counts[project.id].items(), key=lambda each: rank_of(each[0]))
        )
        for project in projects
    ]
    return arrange(rows, asked, _PROJECTS, "/projects", live="/live/projects")
