"""Reads of projects."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db.pages import read_page
from orca.errors import NotFound
from orca.features.projects.models import Environment, Project
from orca.features.projects.rules import Naming
from orca.kit.pagination import Page, PageRequest
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

_FIRST_PAGE = PageRequest()


async def get_project(session: AsyncSession, scope: Scope, project_id: str, *, lock: bool = False) -> Project:
    """Return a project of the team; `lock` locks its row until the transaction ends."""
    query = select(Project).where(
        Project.id == project_id, Project.team_id == scope.team_id, Project.deleted_at.is_(None)
    )
    project = await session.scalar(query.with_for_update() if lock else query)
    if project is None:
        raise NotFound("there is no project with this id")
    return project


async def list_projects(session: AsyncSession, scope: Scope, wanted: PageRequest = _FIRST_PAGE) -> Page[Project]:
    """The team's projects, newest first."""
    query = select(Project).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    return await read_page(session, query, Project, wanted)


async def read_naming(session: AsyncSession, scope: Scope, *, but: str = "") -> Naming:
    """Return what names the team's projects have, except for the one that is renamed."""
    living = select(Project.slug, Project.name).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    return Naming("project", {slug: name for slug, name in await session.execute(living.where(Project.id != but))})  # noqa: C416 - rows are no pairs to mypy


async def find_project_scope(session: AsyncSession, project_id: str) -> ObjectScope | None:
    """Return where a project belongs."""
    query = select(Project.team_id, Project.id).where(Project.id == project_id, Project.deleted_at.is_(None))
    return await find_scope(session, query)


async def find_environment_scope(session: AsyncSession, environment_id: str) -> ObjectScope | None:
    """Return where an environment of a living project belongs."""
    query = select(Environment.team_id, Environment.project_id, Environment.id)
    query = query.join(Project, Project.id == Environment.project_id)
    return await find_scope(session, query.where(Environment.id == environment_id, Project.deleted_at.is_(None)))


async def list_environments(session: AsyncSession, scope: Scope, project_id: str) -> Sequence[Environment]:
    """The environments of a project, in the order in which they were made."""
    query = select(Environment).where(Environment.team_id == scope.team_id, Environment.project_id == project_id)
    return (await session.scalars(query.order_by(Environment.id))).all()


async def list_project_slugs(session: AsyncSession, scope: Scope, project_ids: Collection[str]) -> dict[str, str]:
    """Map ids of projects to their slugs."""
    query = select(Project.id, Project.slug).where(Project.team_id == scope.team_id, Project.id.in_(project_ids))
    return {project_id: slug for project_id, slug in await session.execute(query)}  # noqa: C416 - rows are no pairs to mypy
