"""What all pages of a service do: answer a form, and read the service with its project."""

from collections.abc import Awaitable, Callable, Sequence

from fastapi import Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import OrcaError
from orca.features.services import queries
from orca.features.services.models import Project, Service
from orca.features.sources.models import GitCredential, RegistryCredential
from orca.web.forms import Filled, Model
from orca.web.guard import CurrentScope

SEE_OTHER = 303


async def submit(
    session: AsyncSession,
    filled: Filled[Model],
    act: Callable[[Model], Awaitable[str]],
    draw: Callable[[Filled[Model]], Awaitable[Response]],
) -> Response:
    """Act, and go to the address that it gives. A form that is wrong or refused saves nothing and is drawn again."""
    if filled.model is not None:
        try:
            return RedirectResponse(await act(filled.model), SEE_OTHER)
        except OrcaError as error:
            filled = filled.refused(error)
    await session.rollback()
    return await draw(filled)


def credential_options(rows: Sequence[GitCredential | RegistryCredential]) -> list[tuple[str, str]]:
    """Credentials to choose from: id, and the name with the host at which it is used."""
    return [(row.id, f"{row.name} · {row.host or 'no host yet'}") for row in rows]


async def service_and_project(session: AsyncSession, scope: CurrentScope, service_id: str) -> tuple[Service, Project]:
    """A service of the team and its project."""
    service = await queries.get_service(session, scope, service_id)
    return service, await queries.get_project(session, scope, service.project_id)
