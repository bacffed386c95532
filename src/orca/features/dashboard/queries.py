"""What the overview counts and lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments.models import Deployment
from orca.features.projects.models import Project
from orca.features.services.models import Service
from orca.web.guard import Scope


class Listed(NamedTuple):
    """What a list shows of a service and nothing else: there may be thousands."""

    id: str
    name: str
    project_id: str
    desired_state: str


@dataclass(frozen=True, slots=True)
class RecentDeployment:
    """A deployment with the name of its service."""

    deployment: Deployment
    service: str


async def list_all_services(session: AsyncSession, scope: Scope, *, limit: int = 5000) -> list[Listed]:
    """Services of a team by name."""
    query = select(Service.id, Service.name, Service.project_id, Service.desired_state)
    query = query.where(Service.team_id == scope.team_id, Service.deleted_at.is_(None))
    rows = await session.execute(query.order_by(Service.name, Service.id).limit(limit))
    return [Listed(*row) for row in rows]


async def list_project_ids(session: AsyncSession, scope: Scope, *, limit: int) -> Sequence[str]:
    """Some projects of a team, to see whether there is one, or more than one."""
    query = select(Project.id).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    return (await session.scalars(query.limit(limit))).all()


async def project_names(session: AsyncSession, scope: Scope, project_ids: Sequence[str]) -> dict[str, str]:
    """Id -> name."""
    query = select(Project.id, Project.name).where(Project.team_id == scope.team_id, Project.id.in_(project_ids))
    return dict((await session.execute(query)).all())


async def count_services(session: AsyncSession, scope: Scope, project_ids: Sequence[str]) -> dict[str, int]:
    """Project id -> how many services it has."""
    query = (
        select(Service.project_id, func.count())
        .where(Service.team_id == scope.team_id, Service.deleted_at.is_(None), Service.project_id.in_(project_ids))
        .group_by(Service.project_id)
    )
    return dict((await session.execute(query)).all())


async def list_service_names(session: AsyncSession, scope: Scope, project_id: str, *, limit: int) -> dict[str, str]:
    """Id -> name of the services of a project, by name."""
    query = select(Service.id, Service.name).where(
        Service.team_id == scope.team_id, Service.project_id == project_id, Service.deleted_at.is_(None)
    )
    return dict((await session.execute(query.order_by(Service.name).limit(limit))).all())


async def list_recent(session: AsyncSession, scope: Scope, *, limit: int = 8) -> list[RecentDeployment]:
    """The newest deployments of a team, without those that only took a deleted service away."""
    query = (
        select(Deployment, Service.name)
        .join(Service, Service.id == Deployment.service_id)
        .where(Deployment.team_id == scope.team_id, Deployment.kind != "remove")
        .order_by(Deployment.seq.desc())
        .limit(limit)
    )
    return [RecentDeployment(deployment, name) for deployment, name in (await session.execute(query))]


async def list_failures(session: AsyncSession, scope: Scope, service_ids: Sequence[str]) -> dict[str, Deployment]:
    """Service id -> the newest of its deployments that failed."""
    newest = select(func.max(Deployment.seq)).where(
        Deployment.team_id == scope.team_id, Deployment.service_id.in_(service_ids), Deployment.state == "failed"
    )
    rows = await session.scalars(select(Deployment).where(Deployment.seq.in_(newest.group_by(Deployment.service_id))))
    return {row.service_id: row for row in rows}
