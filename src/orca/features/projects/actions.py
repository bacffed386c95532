"""Creates, renames and deletes projects."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.events import Fact, record
from orca.features import check_deletable
from orca.features.projects.models import Environment, Project
from orca.features.projects.queries import get_project, read_naming
from orca.features.projects.schemas import ProjectChanges, ProjectFields
from orca.web.guard import Scope

FIRST_ENVIRONMENT = "production"
PROJECT = "project"
"""Object type of its events and of the checks before its deletion."""


async def create_project(session: AsyncSession, scope: Scope, fields: ProjectFields) -> Project:
    """Create a project with its `production` environment.

    Raises Conflict for a name or slug that is taken, and BadInput for a name that needs a slug beside it.
    """
    naming = await read_naming(session, scope)
    slug = naming.choose_slug(fields.name, fields.slug)
    project = Project(team_id=scope.team_id, name=fields.name, slug=slug, description=fields.description)
    session.add(project)
    try:
        await session.flush()
    except IntegrityError:
        raise naming.slug_taken(slug) from None
    production = Environment(
        team_id=scope.team_id, project_id=project.id, name=FIRST_ENVIRONMENT.title(), slug=FIRST_ENVIRONMENT
    )
    session.add(production)
    await session.flush()
    await record(
        session, Fact("ProjectCreated", scope.team_id, "project", project.id, {"name": project.name, "slug": slug})
    )
    return project


async def update_project(session: AsyncSession, scope: Scope, project_id: str, changes: ProjectChanges) -> Project:
    """Change name and description; the slug is part of hostnames and stays. Raises Conflict for a taken name."""
    project = await get_project(session, scope, project_id, lock=True)
    changed = {
        name: value for name, value in changes.model_dump(exclude_none=True).items() if value != getattr(project, name)
    }
    if "name" in changed:
        (await read_naming(session, scope, but=project.id)).check_name(changed["name"])
    for name, value in changed.items():
        setattr(project, name, value)
    if changed:
        await record(session, Fact("ProjectUpdated", scope.team_id, "project", project.id, {"fields": sorted(changed)}))
    return project


async def delete_project(session: AsyncSession, scope: Scope, project_id: str) -> None:
    """Delete an empty project. Raises Conflict that lists what it still has."""
    project = await get_project(session, scope, project_id, lock=True)
    await check_deletable(session, PROJECT, project.id)
    project.deleted_at = now()
    payload = {"name": project.name, "slug": project.slug}
    await record(session, Fact("ProjectDeleted", scope.team_id, "project", project.id, payload))
