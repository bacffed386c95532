"""What the palette looks up: services and projects by a part of their name, and what a page is about."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from orca.features.dashboard.palette import Finds, Found, FoundProject, Wish, Words
from orca.features.deployments.models import Deployment, LiveRelease
from orca.features.projects.models import Project
from orca.features.services.models import Service
from orca.web.guard import Scope

_MOST = 8
_LOOKED_THROUGH = 50
"""So many with which something can be done, as far as the database can tell."""
_STATE = case((LiveRelease.id.is_(None), "new"), else_=Service.desired_state)


async def look_up(session: AsyncSession, scope: Scope, words: Words) -> Finds:
    """By all the words; and when some of them say what to do, by the others, those with which it can be done."""
    called = frozenset({Wish((" ".join(words.said),))})
    services, projects = await _services(session, scope, called), await _projects(session, scope, called)
    if not words.says_what:
        return Finds(services, projects, services, projects)
    return Finds(
        services, projects, await _services(session, scope, words.wishes, _LOOKED_THROUGH),
        await _projects(session, scope, words.grows),
    )  # fmt: skip


async def find_place(
    session: AsyncSession, scope: Scope, place: tuple[str, str] | None
) -> tuple[Found | None, FoundProject | None]:
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


def _found(row: Row[str, str, str, str, str, dict[str, Any], str, str]) -> Found:
    identifier, name, state, project_id, project, source, environment_id, system_id = row
    deployable = source.get("type") != "directory" or bool(source.get("upload_id"))
    return Found(identifier, name, state, project_id, project, deployable, environment_id, system_id)


async def _services(session: AsyncSession, scope: Scope, wishes: Collection[Wish], most: int = _MOST) -> list[Found]:
    query = _living(scope).where(or_(false(), *(_fits(Service.name, wish) for wish in wishes)))
    return [_found(row) for row in await session.execute(query.order_by(Service.name, Service.id).limit(most))]


async def _projects(session: AsyncSession, scope: Scope, wishes: Collection[Wish]) -> list[FoundProject]:
    query = select(Project.id, Project.name).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    query = query.where(or_(false(), *(_fits(Project.name, wish) for wish in wishes)))
    return [FoundProject(*row) for row in await session.execute(query.order_by(Project.name, Project.id).limit(_MOST))]


def _fits(name: InstrumentedAttribute[str], wish: Wish) -> ColumnElement[bool]:
    parts = [name.icontains(part, autoescape=True) for part in wish.names]
    return and_(true(), *parts, *([_STATE.in_([wish.state])] if wish.state else []))
