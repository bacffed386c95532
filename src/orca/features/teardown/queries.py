"""Reads of what a project has, and of how far its deletion is."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from orca.features.deployments.models import Deployment
from orca.features.deployments.rules import ACTIVE
from orca.features.projects.models import Project
from orca.features.routing.models import Route
from orca.features.services.models import Service, Variable, Volume
from orca.features.teardown.schemas import DeletionOut, GoingService, GoingVolume

MOST = 200
FAILED = ("failed", "cancelled")
"""States of a removal after which containers may be left."""


def _living(project_id: str) -> Select[str]:
    return select(Service.id).where(Service.project_id == project_id, Service.deleted_at.is_(None))


async def read_deletion(session: AsyncSession, project: Project) -> DeletionOut:
    """Return what the project still has, and the state of its deletion."""
    living = _living(project.id)
    services = select(Service).where(Service.id.in_(living)).order_by(Service.name, Service.id).limit(MOST)
    volumes = select(Volume).where(Volume.project_id == project.id).order_by(Volume.name, Volume.id).limit(MOST)
    hosts = select(Route.hostname).where(Route.service_id.in_(living)).distinct().order_by(Route.hostname).limit(MOST)
    deployments = select(func.count()).select_from(Deployment).where(Deployment.service_id.in_(living))
    owned = or_(Variable.project_id == project.id, Variable.service_id.in_(living))
    variables = select(func.count()).select_from(Variable).where(owned)
    return DeletionOut(
        state="running" if project.deleting_since else "failed" if project.deletion_problem else "none",
        since=project.deleting_since,
        problem=project.deletion_problem,
        services=[GoingService.model_validate(service) for service in await session.scalars(services)],
        volumes=[
            GoingVolume(id=volume.id, name=volume.name, path=volume.last_path)
            for volume in await session.scalars(volumes)
        ],
        domains=list(await session.scalars(hosts)),
        deployments=await session.scalar(deployments) or 0,
        variables=await session.scalar(variables) or 0,
        removing=len(await list_removing(session, project.id)),
    )


async def list_removing(session: AsyncSession, project_id: str) -> Sequence[str]:
    """Return the names of the deleted services of a project whose containers are still to be removed."""
    active = select(Deployment.service_id).where(Deployment.state.in_(ACTIVE))
    failed = [removal.service_id for removal in await list_failed_removals(session, project_id)]
    removing = select(Service.name).where(Service.project_id == project_id, Service.deleted_at.is_not(None))
    left = removing.where(Service.id.in_(active) | Service.id.in_(failed))
    return (await session.scalars(left.order_by(Service.name))).all()


async def list_failed_removals(session: AsyncSession, project_id: str) -> Sequence[Deployment]:
    """Return the last removal of each deleted service of a project where that has failed."""
    removal = aliased(Deployment)
    last = select(func.max(removal.number)).where(removal.service_id == Service.id, removal.kind == "remove")
    query = (
        select(Deployment)
        .join(Service, Service.id == Deployment.service_id)
        .where(
            Service.project_id == project_id,
            Service.deleted_at.is_not(None),
            Deployment.number == last.scalar_subquery(),
            Deployment.state.in_(FAILED),
        )
    )
    return (await session.scalars(query.order_by(Service.name))).all()


async def count_removals(session: AsyncSession, service_id: str, since: datetime) -> int:
    """Count the removals of a service that began after an instant."""
    mine = (Deployment.service_id == service_id, Deployment.kind == "remove", Deployment.created_at >= since)
    return await session.scalar(select(func.count()).select_from(Deployment).where(*mine)) or 0


async def list_living(session: AsyncSession, project_id: str) -> Sequence[str]:
    """Return the ids of the services of a project."""
    return (await session.scalars(_living(project_id).order_by(Service.id))).all()


async def list_volume_ids(session: AsyncSession, project_id: str) -> Sequence[str]:
    """Return the ids of the volumes of a project."""
    return (await session.scalars(select(Volume.id).where(Volume.project_id == project_id).order_by(Volume.id))).all()
