"""The page of a service's settings, and its danger zone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput
from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.features.credentials.queries import list_credentials
from orca.features.projects.models import Project
from orca.features.services import actions, queries
from orca.features.services.forms import builder_options, errors_of_settings, settings_data, settings_values
from orca.features.services.models import Service
from orca.features.services.pages.answers import credential_options
from orca.features.services.privileges import explain_privilege
from orca.features.services.runtime_form import is_unusual, label_fields, list_file_rows, place_file_errors
from orca.features.services.schemas.runtime import STOP_SIGNALS
from orca.features.services.schemas.services import ServiceChanges
from orca.features.services.schemas.settings import AUTO
from orca.features.services.service_status import ServiceStatus, load_header
from orca.kit.pagination import PageRequest
from orca.plugins import list_installed
from orca.web.answers import Redirect, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentScope, Router, Subject, guard
from orca.web.redirects import see_other
from orca.web.render import render

router = Router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """How a service is built and run."""

    service: Service
    project: Project
    status: ServiceStatus
    values: Mapping[str, str]
    credentials: list[tuple[str, str]]
    builders: list[tuple[str, str]]
    form: Filled[ServiceChanges] = field(default_factory=Filled)
    """The form; its errors use the names of the form's fields."""
    options_open: bool = False
    """Whether the container options are unfolded: one of them is set, or wrong."""
    file_rows: Sequence[int] = ()
    runtime_labels: Mapping[str, str] = field(default_factory=dict)
    privileges: Sequence[tuple[str, str]] = ()
    """Each privilege of the service, and what it means."""
    stop_signals: Sequence[str] = STOP_SIGNALS
    tab: str = "settings"


@router.get("/services/{service_id}/settings")
@guard("service.read", tenant="service_id", page=True)
async def show_settings(service_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Show all settings that the next deployment will use."""
    return await _draw_settings(request, session, scope, service_id, Filled())


async def _draw_settings(
    request: Request, session: AsyncSession, scope: CurrentScope, service_id: str, form: Filled[ServiceChanges]
) -> Response:
    head = await load_header(request, session, scope, service_id)
    is_image = head.service.source["type"] == "image"
    table: type[GitCredential | RegistryCredential] = RegistryCredential if is_image else GitCredential
    offered = (await list_credentials(session, scope, table, PageRequest(limit=200))).items
    values = form.values or settings_values(head.service)
    form = replace(form, errors=errors_of_settings(place_file_errors(form.errors, values)))
    labels = label_fields(values)
    granted = [(privilege, f"The service {explain_privilege(privilege)}.") for privilege in head.service.privileges]
    is_open = is_unusual(head.service.runtime) or any(name in labels for name in form.errors)
    builders = builder_options(list_installed("builders"), values.get("builder", AUTO))
    subject: Subject = request.state.subject
    options = credential_options(subject, offered, head.service.source.get("credential_id"))
    rows = list_file_rows(values)
    page = SettingsPage(*head, values, options, builders, form, is_open, rows, labels, granted)
    return render(request, "services/settings.html", page, status=form.status)


@router.post("/services/{service_id}/settings")
@guard("service.update", tenant="service_id", rate="write", audit="ServiceUpdated", page=True)
async def save_settings(
    service_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Save the settings; running containers are not changed."""

    async def save(changes: ServiceChanges) -> Redirect:
        await actions.update_service(session, scope, service_id, changes)
        return Redirect(f"/services/{service_id}/settings", "Saved")

    service = await queries.get_service(session, scope, service_id)
    data, unreadable = settings_data(service, form)
    filled = fill(ServiceChanges, data, form)
    if unreadable:
        filled = Filled(form, {**unreadable, **filled.errors})
    return await submit(request, session, filled, save, partial(_draw_settings, request, session, scope, service_id))


@router.post("/services/{service_id}/delete")
@guard("service.delete", tenant="service_id", rate="write", audit="ServiceDeleted", page=True)
async def delete_service(
    service_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Delete the service after its name was typed. Its volumes stay."""
    service = await queries.get_service(session, scope, service_id)
    if form.get("confirm") != service.slug:
        raise BadInput("the name does not match, so nothing was deleted", hint=f"Type “{service.slug}”.")
    await actions.delete_service(session, scope, service_id, service.slug)
    return see_other(request, f"/projects/{service.project_id}", said=f"{service.name} is deleted")
