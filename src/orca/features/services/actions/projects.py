"""Creates, renames and deletes projects."""

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import Conflict
from orca.events import Fact, record
from orca.features.services.actions.variables import delete_variables
from orca.features.services.models import Environment, Project, Service, Volume
from orca.features.services.project_schemas import ProjectChanges, ProjectFields
from orca.features.services.queries import get_project
from orca.features.services.rules import choose_slug
from orca.web.guard import Scope

FIRST_ENVIRONMENT = "production"
_BLOCKERS_SHOWN = 20


async def create_project(session: AsyncSession, scope: Scope, fields: ProjectFields) -> Project:
    """Create a project with its `production` environment. Raises Conflict for a slug that is taken."""
    living = select(Project.slug).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    taken = set((await session.scalars(living)).all())
    if fields.slug in taken:
        raise _slug_taken(fields.slug)
    slug = fields.slug or choose_slug(fields.name, taken, otherwise="project")
    project = Project(team_id=scope.team_id, name=fields.name, slug=slug, description=fields.description)
    session.add(project)
    try:
        await session.flush()
    except IntegrityError:
        raise _slug_taken(slug) from None
    production = Environment(
        team_id=scope.team_id, project_id=project.id, name=FIRST_ENVIRONMENT.title(), slug=FIRST_ENVIRONMENT
    )
    session.add(production)
    await session.flush()
    await record(
        session, Fact("ProjectCreated", scope.team_id, "project", project.id, {"name": project.name, "slug": slug})
    )
    return project


def _slug_taken(slug: str) -> Conflict:
    return Conflict(f"there is already a project with the slug “{slug}”", hint="Choose another slug, or leave it out.")


async def update_project(session: AsyncSession, scope: Scope, project_id: str, changes: ProjectChanges) -> Project:
    """Change name and description; the slug is part of hostnames and stays."""
    project = await get_project(session, scope, project_id, lock=True)
    changed = {
        name: value for name, value in changes.model_dump(exclude_none=True).items() if value != getattr(project, name)
    }
    for name, value in changed.items():
        setattr(project, name, value)
    if changed:
        await record(session, Fact("ProjectUpdated", scope.team_id, "project", project.id, {"fields": sorted(changed)}))
    return project


async def delete_project(session: AsyncSession, scope: Scope, project_id: str) -> None:
    """Delete an empty project. Raises Conflict that lists the services and volumes it still has."""
    project = await get_project(session, scope, project_id, lock=True)
    await _check_empty(session, project)
    await delete_variables(session, ("project", project.id))
    project.deleted_at = now()
    payload = {"name": project.name, "slug": project.slug}
    await record(session, Fact("ProjectDeleted", scope.team_id, "project", project.id, payload))


async def _check_empty(session: AsyncSession, project: Project) -> None:
    services = select(Service.slug).where(Service.project_id == project.id, Service.deleted_at.is_(None))
    volumes = select(Volume.name, Volume.id).where(Volume.project_id == project.id)
    blockers = [
        *(f"service {slug}" for slug in (await session.scalars(services.order_by(Service.slug))).all()),
        *(f"volume {name} ({volume_id})" for name, volume_id in await session.execute(volumes.order_by(Volume.name))),
    ]
    if blockers:
        shown = ", ".join(blockers[:_BLOCKERS_SHOWN])
        more = f" and {len(blockers) - _BLOCKERS_SHOWN} more" if len(blockers) > _BLOCKERS_SHOWN else ""
        raise Conflict(
            f"the project “{project.slug}” still has: {shown}{more}",
            hint="Delete its services first, and destroy the volumes whose data is not needed any more.",
            blockers=blockers,
        )
