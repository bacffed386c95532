"""The page of a service's settings, and its danger zone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput
from orca.features.services import actions, queries
from orca.features.services.forms import settings_data, settings_values
from orca.features.services.models import Project, Service
from orca.features.services.pages.answers import SEE_OTHER, credential_options, service_and_project, submit
from orca.features.services.schemas import ServiceChanges
from orca.features.sources.queries import list_git_credentials
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """How a service is built and run."""

    service: Service
    project: Project
    values: Mapping[str, str]
    credentials: list[tuple[str, str]]
    form: Filled[ServiceChanges] = field(default_factory=Filled)
    tab: str = "settings"


@router.get("/services/{service_id}/settings")
@guard("service.read", tenant="service_id", page=True)
async def show_settings(service_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Everything that the next deployment will use."""
    return await _draw_settings(request, session, scope, service_id, Filled())


async def _draw_settings(
    request: Request, session: AsyncSession, scope: CurrentScope, service_id: str, form: Filled[ServiceChanges]
) -> Response:
    service, project = await service_and_project(session, scope, service_id)
    git = await list_git_credentials(session, scope, limit=200)
    values = form.values or settings_values(service)
    page = SettingsPage(service, project, values, credential_options(git.items), form)
    return render(request, "services/settings.html", page, status=form.status)


@router.post("/services/{service_id}/settings")
@guard("service.update", tenant="service_id", rate="write", audit="ServiceUpdated", page=True)
async def save_settings(
    service_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Save; what runs now is not touched."""

    async def save(changes: ServiceChanges) -> str:
        await actions.update_service(session, scope, service_id, changes)
        return f"/services/{service_id}/settings"

    service = await queries.get_service(session, scope, service_id)
    try:
        filled = fill(ServiceChanges, settings_data(service, form), form)
    except ValueError as error:
        filled = Filled(form, {"": str(error)})
    return await submit(session, filled, save, lambda again: _draw_settings(request, session, scope, service_id, again))


@router.post("/services/{service_id}/delete")
@guard("service.delete", tenant="service_id", rate="write", audit="ServiceDeleted", page=True)
async def delete_service(service_id: str, session: WriteSession, scope: CurrentScope, form: Form) -> Response:
    """Only by its name. Its volumes stay."""
    service = await queries.get_service(session, scope, service_id)
    if form.get("confirm") != service.slug:
        raise BadInput("the name does not match, so nothing was deleted", hint=f"Type “{service.slug}”.")
    await actions.delete_service(session, scope, service_id, service.slug)
    return RedirectResponse(f"/projects/{service.project_id}", SEE_OTHER)
