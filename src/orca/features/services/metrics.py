"""Projects, services and volumes as numbers for Prometheus."""

from collections.abc import Sequence
from typing import get_args

from prometheus_client import Metric
from sqlalchemy import func, select

from orca.features.projects.models import Project
from orca.features.services.models import Service, ServiceMount, Volume
from orca.features.services.rules import Kind
from orca.resources import Resources
from orca.web.metrics import Measure, gauge, number


async def measure_services(resources: Resources) -> Sequence[Metric]:
    """Count projects, services and volumes of all teams."""
    by_kind = select(Service.kind, Service.desired_state, func.count()).where(Service.deleted_at.is_(None))
    async with resources.db.read() as session:
        rows = (await session.execute(by_kind.group_by(Service.kind, Service.desired_state))).all()
        projects = await session.scalar(select(func.count(Project.id)).where(Project.deleted_at.is_(None))) or 0
        volumes = await session.scalar(select(func.count(Volume.id))) or 0
        attached = await session.scalar(select(func.count(ServiceMount.volume_id.distinct()))) or 0
    services = {(kind, state): 0 for kind in get_args(Kind) for state in ("running", "stopped")}
    services |= {(kind, state): found for kind, state, found in rows}
    return [
        number("orc_projects", "Projects.", projects),
        gauge("orc_services", "Services, by what is wanted of them.", ["kind", "desired_state"], services),
        gauge("orc_volumes", "Volumes.", ["state"], {"attached": attached, "detached": volumes - attached}),
    ]


def make_measures() -> tuple[Measure, ...]:
    """Return the measures of this feature."""
    return (Measure("services", measure_services),)
