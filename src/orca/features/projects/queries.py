"""Reads of projects."""

from collections.abc import Collection, Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db.pages import read_page
from orca.errors import BadInput, NotFound
from orca.features.projects.models import Environment, Project
from orca.features.projects.rules import FIRST_ENVIRONMENT, Naming
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


async def read_environment_naming(session: AsyncSession, project_id: str, *, but: str = "") -> Naming:
    """Return what names the environments of a project have, except for the one that is renamed."""
    living = select(Environment.slug, Environment.name).where(
        Environment.project_id == project_id, Environment.deleted_at.is_(None), Environment.id != but
    )
    return Naming("environment", {slug: name for slug, name in await session.execute(living)})  # noqa: C416 - rows are no pairs to mypy


async def find_project_scope(session: AsyncSession, project_id: str) -> ObjectScope | None:
    """Return where a project belongs."""
    query = select(Project.team_id, Project.id).where(Project.id == project_id, Project.deleted_at.is_(None))
    return await find_scope(session, query)


async def find_environment_scope(session: AsyncSession, environment_id: str) -> ObjectScope | None:
    """Return where a living environment of a living project belongs."""
    query = select(Environment.team_id, Environment.project_id, Environment.id)
    query = query.join(Project, Project.id == Environment.project_id)
    living = Environment.deleted_at.is_(None) & Project.deleted_at.is_(None)
    return await find_scope(session, query.where(Environment.id == environment_id, living))


async def get_environment(
    session: AsyncSession, scope: Scope, environment_id: str, *, lock: bool = False
) -> Environment:
    """Return an environment of the team; `lock` locks its row until the transaction ends."""
    query = select(Environment).where(
        Environment.id == environment_id, Environment.team_id == scope.team_id, Environment.deleted_at.is_(None)
    )
    environment = await session.scalar(query.with_for_update() if lock else query)
    if environment is None:
        raise NotFound("there is no environment with this id")
    return environment


async def choose_environment(
    session: AsyncSession, project: Project, wanted: str | None, *, lock: bool = False
) -> Environment:
    """Return the environment of a project by id or slug, by default the first. Raises BadInput."""
    named = or_(Environment.id == wanted, Environment.slug == (wanted or FIRST_ENVIRONMENT))
    query = select(Environment).where(Environment.project_id == project.id, Environment.deleted_at.is_(None), named)
    query = query.order_by(Environment.id != wanted).limit(1)
    environment = await session.scalar(query.with_for_update() if lock else query)
    if environment is None:
        problem = "is no environment of the project"
        raise BadInput(
            f"environment: {problem}", fields={"environment": problem},
            hint=f"`orc environments list --project {project.slug}` shows what there is.",
        )  # fmt: skip
    return environment


async def list_environments(session: AsyncSession, scope: Scope, project_id: str) -> Sequence[Environment]:
    """The environments of a project, in the order in which they were made; `rules.MAX_ENVIRONMENTS` bounds them."""
    query = select(Environment).where(
        Environment.team_id == scope.team_id, Environment.project_id == project_id, Environment.deleted_at.is_(None)
    )
    return (await session.scalars(query.order_by(Environment.id))).all()


async def list_project_slugs(session: AsyncSession, scope: Scope, project_ids: Collection[str]) -> dict[str, str]:
    """Map ids of projects to their slugs."""
    query = select(Project.id, Project.slug).where(Project.team_id == scope.team_id, Project.id.in_(project_ids))
    return {project_id: slug for project_id, slug in await session.execute(query)}  # noqa: C416 - rows are no pairs to mypy
