"""What the palette looks up: services and projects by name, what is inside of them, and what a page is about."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from orca.features.dashboard.palette import (
    DEPLOYMENT,
    HOSTNAME,
    VARIABLE,
    Entry,
    Finds,
    FoundProject,
    FoundService,
    Inside,
    ObjectKind,
    ParsedInput,
    ServiceSelection,
)
from orca.features.deployments.models import Deployment, LiveRelease
from orca.features.projects.models import Project
from orca.features.routing.models import Route
from orca.features.services.models import Service, Variable
from orca.web.guard import Scope

_MOST = 8
_FEW = 5
_VOCABULARY = 400
_DIGITS = 9
_LOOKED_THROUGH = 50
"""So many with which something can be done, as far as the database can tell."""
_STATE = case((LiveRelease.id.is_(None), "new"), else_=Service.desired_state)


async def look_up(session: AsyncSession, scope: Scope, words: ParsedInput) -> Finds:
    """By all the words; and when some of them say what to do, by the others, those with which it can be done."""
    called = frozenset({ServiceSelection((" ".join(words.said),))})
    services, projects = await _services(session, scope, called), await _projects(session, scope, called)
    if not words.says_what:
        return Finds(services, projects, services, projects)
    return Finds(
        services, projects, await _services(session, scope, words.wishes, _LOOKED_THROUGH),
        await _projects(session, scope, words.grows),
    )  # fmt: skip


async def find_place(
    session: AsyncSession, scope: Scope, place: tuple[str, str] | None
) -> tuple[FoundService | None, FoundProject | None]:
    """The service and the project that a page is about, as far as it is about them."""
    if place is None:
        return None, None
    kind, identifier = place
    if kind == "projects":
        query = select(Project.id, Project.name).where(Project.id == identifier, Project.team_id == scope.team_id)
        row = (await session.execute(query.where(Project.deleted_at.is_(None)))).one_or_none()
        return None, FoundProject(*row) if row else None
    living = _living(scope)
    if kind == "deployments":
        living = living.join(Deployment, Deployment.service_id == Service.id).where(Deployment.id == identifier)
    else:
        living = living.where(Service.id == identifier)
    found = (await session.execute(living)).one_or_none()
    service = _found(found) if found else None
    return service, FoundProject(service.project_id, service.project) if service else None


async def find_named(
    session: AsyncSession, scope: Scope, places: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Entry]:
    """Return the services and projects of a list of (kind, id) that there still are."""
    if not places:
        return {}
    ids = {kind: [identifier for other, identifier in places if other == kind] for kind in ("services", "projects")}
    services = [_found(row) for row in await session.execute(_living(scope).where(Service.id.in_(ids["services"])))]
    query = select(Project.id, Project.name).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    projects = [FoundProject(*row) for row in await session.execute(query.where(Project.id.in_(ids["projects"])))]
    return {
        **{
            ("services", found.id): Entry(found.name, f"/services/{found.id}", "box", found.project)
            for found in services
        },
        **{
            ("projects", found.id): Entry(found.name, f"/projects/{found.id}", "folder", "project")
            for found in projects
        },
    }


async def list_vocabulary(session: AsyncSession, scope: Scope) -> set[str]:
    """Return the words of the names of services and projects, of some hundreds of them."""
    services = select(Service.name).where(Service.team_id == scope.team_id, Service.deleted_at.is_(None))
    projects = select(Project.name).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    names = [
        *await session.scalars(services.order_by(Service.id.desc()).limit(_VOCABULARY)),
        *await session.scalars(projects.order_by(Project.id.desc()).limit(_VOCABULARY)),
    ]
    return {word for name in names for word in (name.lower(), *name.lower().replace("-", " ").split())}


async def find_inside(session: AsyncSession, scope: Scope, words: ParsedInput) -> list[Inside]:
    """Return hostnames and names of variables with what was typed in them, and deployments of a number that was."""
    text = " ".join(words.said)
    hosts = _living(scope).add_columns(Route.hostname).join(Route, Route.service_id == Service.id)
    hosts = hosts.where(Route.hostname.icontains(text, autoescape=True)).order_by(Route.hostname).limit(_FEW)
    keys = _living(scope).add_columns(Variable.key).join(Variable, Variable.service_id == Service.id)
    keys = keys.where(Variable.key.icontains(text, autoescape=True)).order_by(Variable.key, Service.name).limit(_FEW)
    shared = select(Project.id, Project.name, Variable.key).join(Variable, Variable.project_id == Project.id)
    shared = shared.where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    shared = shared.where(Variable.key.icontains(text, autoescape=True)).order_by(Variable.key).limit(_FEW)
    return [
        *(_inside(row, HOSTNAME, "/domains") for row in await session.execute(hosts)),
        *(_inside(row, VARIABLE, "/variables") for row in await session.execute(keys)),
        *(
            Inside(key, f"/projects/{identifier}/variables", FoundProject(identifier, name), VARIABLE)
            for identifier, name, key in await session.execute(shared)
        ),
        *await _deployments(session, scope, words),
    ]


def _inside(row: Row[Any], kind: ObjectKind, tab: str) -> Inside:
    owner = _found(row[:-1])
    return Inside(row[-1], f"/services/{owner.id}{tab}", owner, kind)


async def _deployments(session: AsyncSession, scope: Scope, words: ParsedInput) -> list[Inside]:
    """`#12 web` -> the twelfth deployments of services that are called so."""
    numbers = [word[1:] for word in words.said if word[:1] == "#" and word[1:].isdecimal()]
    if len(numbers) != 1 or len(numbers[0]) > _DIGITS:
        return []
    query = _living(scope).add_columns(Deployment.id).join(Deployment, Deployment.service_id == Service.id)
    query = query.where(Deployment.number == int(numbers[0]))
    for word in words.said:
        if word[:1] != "#":
            query = query.where(Service.name.icontains(word, autoescape=True))
    rows = await session.execute(query.order_by(Deployment.created_at.desc()).limit(_FEW))
    found = [(_found(service), identifier) for *service, identifier in rows]
    return [
        Inside(f"{owner.name} #{numbers[0]}", f"/deployments/{identifier}", owner, DEPLOYMENT)
        for owner, identifier in found
    ]


def _living(scope: Scope) -> Select[str, str, str, str, str, dict[str, Any], str, str]:
    return (
        select(
            Service.id,
            Service.name,
            _STATE,
            Service.project_id,
            Project.name,
            Service.source,
            Service.environment_id,
            Service.system_id,
        )
        .join(Project, Project.id == Service.project_id)
        .outerjoin(LiveRelease, LiveRelease.service_id == Service.id)
        .where(Service.team_id == scope.team_id, Service.deleted_at.is_(None))
    )


def _found(row: Row[str, str, str, str, str, dict[str, Any], str, str] | Sequence[Any]) -> FoundService:
    identifier, name, state, project_id, project, source, environment_id, system_id = row
    deployable = source.get("type") != "directory" or bool(source.get("upload_id"))
    return FoundService(identifier, name, state, project_id, project, deployable, environment_id, system_id)


async def _services(
    session: AsyncSession, scope: Scope, wishes: Collection[ServiceSelection], most: int = _MOST
) -> list[FoundService]:
    query = _living(scope).where(or_(false(), *(_fits(Service.name, wish) for wish in wishes)))
    return [_found(row) for row in await session.execute(query.order_by(Service.name, Service.id).limit(most))]


async def _projects(session: AsyncSession, scope: Scope, wishes: Collection[ServiceSelection]) -> list[FoundProject]:
    query = select(Project.id, Project.name).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    query = query.where(or_(false(), *(_fits(Project.name, wish) for wish in wishes)))
    return [FoundProject(*row) for row in await session.execute(query.order_by(Project.name, Project.id).limit(_MOST))]


def _fits(name: InstrumentedAttribute[str], wish: ServiceSelection) -> ColumnElement[bool]:
    parts = [name.icontains(part, autoescape=True) for part in wish.names]
    return and_(true(), *parts, *([_STATE.in_([wish.state])] if wish.state else []))
