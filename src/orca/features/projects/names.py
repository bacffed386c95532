"""The names of projects and environments, for the activity page and for grants."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.manifest import Directory, NamedObject
from orca.features.projects.models import Environment, Project
from orca.web.guard import Scope

_MOST = 100
"""Names of that many things are looked for; more share a text only when it says nothing."""


@dataclass(frozen=True, slots=True)
class Names:
    """Of one table whose rows have a name, a slug, and a page at `place/<id>` until they are deleted."""

    table: Any
    place: str

    async def find_names(self, session: AsyncSession, scope: Scope, ids: Collection[str]) -> Mapping[str, NamedObject]:
        """Id -> name, of those that exist."""
        row = self.table
        query = select(row.id, row.name, row.deleted_at).where(row.team_id == scope.team_id, row.id.in_(ids))
        return {
            identifier: NamedObject(name, "" if deleted_at else f"{self.place}/{identifier}")
            for identifier, name, deleted_at in await session.execute(query)
        }

    async def find_ids(self, session: AsyncSession, scope: Scope, text: str) -> Collection[str]:
        """Ids of those whose name or slug contains the text."""
        row = self.table
        holds = or_(row.name.icontains(text, autoescape=True), row.slug.icontains(text, autoescape=True))
        query = select(row.id).where(row.team_id == scope.team_id, holds).order_by(row.id.desc()).limit(_MOST)
        return (await session.scalars(query)).all()


class EnvironmentNames:
    """Of environments: with the name of their project. Their page is that of the project."""

    async def find_names(self, session: AsyncSession, scope: Scope, ids: Collection[str]) -> Mapping[str, NamedObject]:
        """Id -> name, of those that exist."""
        query = (
            select(Environment.id, Environment.name, Project.id, Project.name, Project.deleted_at)
            .join(Project, Project.id == Environment.project_id)
            .where(Environment.team_id == scope.team_id, Environment.id.in_(ids))
        )
        return {
            identifier: NamedObject(f"{name} of {project}", "" if deleted_at else f"/projects/{project_id}")
            for identifier, name, project_id, project, deleted_at in await session.execute(query)
        }

    async def find_ids(self, session: AsyncSession, scope: Scope, text: str) -> Collection[str]:
        """Ids of those whose name or slug contains the text."""
        return await Names(Environment, "").find_ids(session, scope, text)


DIRECTORIES: Mapping[str, Directory] = {"project": Names(Project, "/projects"), "environment": EnvironmentNames()}
"""Object type of events -> directory."""
