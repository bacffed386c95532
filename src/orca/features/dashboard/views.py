"""Services as the lists of the overview and of a project show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.dashboard import queries
from orca.features.dashboard.queries import Listed
from orca.features.deployments.states import observe_services
from orca.features.routing.queries import list_urls_by_service
from orca.resources import Resources
from orca.web.guard import Scope


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service in a list."""

    id: str
    name: str
    project: str
    state: str
    url: str


async def read_states(
    session: AsyncSession, scope: Scope, resources: Resources, services: Sequence[Listed]
) -> Mapping[str, str]:
    """Service id -> its word."""
    desired = {service.id: service.desired_state for service in services}
    seen = await observe_services(session, scope, resources, desired)
    return {service_id: state.state for service_id, state in seen.items()}


async def read_rows(
    session: AsyncSession,
    scope: Scope,
    resources: Resources,
    services: Sequence[Listed],
    states: Mapping[str, str],
) -> list[ServiceRow]:
    """The services as lists show them, in their order."""
    names = await queries.project_names(session, scope, [service.project_id for service in services])
    urls = await list_urls_by_service(session, resources.settings, [service.id for service in services])
    return [
        ServiceRow(
            listed.id, listed.name, names.get(listed.project_id, ""), states[listed.id], next(iter(urls[listed.id]), "")
        )
        for listed in services
    ]
