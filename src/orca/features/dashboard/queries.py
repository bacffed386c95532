"""What the overview counts and lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments.models import Deployment
from orca.features.projects.models import Environment, Project
from orca.features.projects.rules import FIRST_ENVIRONMENT
from orca.features.services.models import Service
from orca.web.guard import Scope


class ServiceSummary(NamedTuple):
    """What a list needs of every service, also of those that are not on the page: there may be thousands."""

    id: str
    name: str
    slug: str
    project_id: str
    project: str
    desired_state: str
    environment: str
    is_first: bool
    """Whether it lives in `production`."""


class LatestDeployment(NamedTuple):
    """The newest deployment of a service."""

    service_id: str
    id: str
    number: int
    kind: str
    state: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RecentDeployment:
    """A deployment with the name of its service."""

    deployment: Deployment
    service: str


async def list_all_services(
    session: AsyncSession, scope: Scope, project_id: str | None = None, *, limit: int = 5000
) -> list[ServiceSummary]:
    """Services of a team, or of one project, by name."""
    query = select(
        Service.id, Service.name, Service.slug, Service.project_id, func.coalesce(Project.name, ""),
        Service.desired_state, Environment.name, Environment.slug == FIRST_ENVIRONMENT,
    ).outerjoin(Project, Project.id == Service.project_id)  # fmt: skip
    query = query.join(Environment, Environment.id == Service.environment_id)
    query = query.where(Service.team_id == scope.team_id, Service.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(Service.project_id == project_id)
    rows = await session.execute(query.order_by(Service.name, Service.id).limit(limit))
    return [ServiceSummary(*row) for row in rows]


async def list_latest(session: AsyncSession, scope: Scope, service_ids: Sequence[str]) -> dict[str, LatestDeployment]:
    """Service id -> its newest deployment."""
    newest = select(func.max(Deployment.seq)).where(
        Deployment.team_id == scope.team_id, Deployment.service_id.in_(service_ids)
    )
    query = select(
        Deployment.service_id, Deployment.id, Deployment.number, Deployment.kind, Deployment.state,
        func.coalesce(Deployment.reason, ""), Deployment.created_at,
    ).where(Deployment.seq.in_(newest.group_by(Deployment.service_id)))  # fmt: skip
    return {row.service_id: row for row in (LatestDeployment(*found) for found in await session.execute(query))}


async def list_project_ids(session: AsyncSession, scope: Scope, *, limit: int) -> Sequence[str]:
    """Some projects of a team, to see whether there is one, or more than one."""
    query = select(Project.id).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    return (await session.scalars(query.limit(limit))).all()


async def list_all_projects(session: AsyncSession, scope: Scope, *, limit: int = 5000) -> Sequence[Project]:
    """Projects of a team, the newest first."""
    query = select(Project).where(Project.team_id == scope.team_id, Project.deleted_at.is_(None))
    return (await session.scalars(query.order_by(Project.id.desc()).limit(limit))).all()


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
