"""Creates, renames and deletes projects and their environments."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Conflict
from orca.events import Fact, record
from orca.features import check_deletable
from orca.features.projects.models import Environment, Project
from orca.features.projects.queries import get_environment, get_project, read_environment_naming, read_naming
from orca.features.projects.rules import FIRST_ENVIRONMENT, MAX_ENVIRONMENTS
from orca.features.projects.schemas import EnvironmentChanges, EnvironmentFields, ProjectChanges, ProjectFields
from orca.web.guard import Scope

PROJECT = "project"
"""Object type of its events and of the checks before its deletion."""
ENVIRONMENT = "environment"
"""Likewise."""


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


async def create_environment(
    session: AsyncSession, scope: Scope, project_id: str, fields: EnvironmentFields
) -> Environment:
    """Create an environment without services.

    Raises Conflict for a name or slug that is taken, and BadInput for a name that needs a slug beside it.
    """
    project = await get_project(session, scope, project_id, lock=True)
    if project.deleting_since is not None:
        raise Conflict("the project is being deleted", hint="Create the environment in another project.")
    naming = await read_environment_naming(session, project.id)
    if len(naming.taken) >= MAX_ENVIRONMENTS:
        raise Conflict(f"a project has {MAX_ENVIRONMENTS} environments at most", hint="Delete one that is not used.")
    slug = naming.choose_slug(fields.name, fields.slug)
    environment = Environment(team_id=scope.team_id, project_id=project.id, name=fields.name, slug=slug)
    session.add(environment)
    await session.flush()
    await record(session, _fact("EnvironmentCreated", environment))
    return environment


async def update_environment(
    session: AsyncSession, scope: Scope, environment_id: str, changes: EnvironmentChanges
) -> Environment:
    """Change the name; the slug is part of those of its services and stays. Raises Conflict for a taken name."""
    environment = await get_environment(session, scope, environment_id, lock=True)
    if changes.name is not None and changes.name != environment.name:
        naming = await read_environment_naming(session, environment.project_id, but=environment.id)
        naming.check_name(changes.name)
        environment.name = changes.name
        await record(session, _fact("EnvironmentUpdated", environment))
    return environment


async def delete_environment(session: AsyncSession, scope: Scope, environment_id: str) -> None:
    """Delete an empty environment. Raises Conflict for the first one, and for one with services or volumes."""
    environment = await get_environment(session, scope, environment_id, lock=True)
    if environment.slug == FIRST_ENVIRONMENT:
        raise Conflict(
            f"every project has the environment {FIRST_ENVIRONMENT}",
            hint="Delete the project instead, if nothing of it is needed.",
        )
    await check_deletable(session, ENVIRONMENT, environment.id)
    environment.deleted_at = now()
    await record(session, _fact("EnvironmentDeleted", environment))


def _fact(name: str, environment: Environment) -> Fact:
    payload = {"name": environment.name, "slug": environment.slug, "project_id": environment.project_id}
    return Fact(name, environment.team_id, ENVIRONMENT, environment.id, payload)
