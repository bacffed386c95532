"""Pages that make and change services: new service, variables, volumes, settings."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput, OrcaError
from orca.features.services import actions, queries
from orca.features.services.detection import Detected, SourceToDetect
from orca.features.services.forms import given, new_service_data, settings_data, settings_values, source_data
from orca.features.services.models import Project, Service, Variable, Volume
from orca.features.services.pipeline import detect
from orca.features.services.schemas import NamedVariable, ServiceChanges, ServiceFields, VolumeFields
from orca.features.sources.models import GitCredential, RegistryCredential
from orca.features.sources.queries import list_git_credentials, list_registry_credentials
from orca.resources import Resources
from orca.web.forms import Filled, Form, Model, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, Scope, guard
from orca.web.leaving import until_gone
from orca.web.render import render

router = Router(include_in_schema=False)
SEE_OTHER = 303


async def _submit(
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


@dataclass(frozen=True, slots=True)
class NewServicePage:
    """The form that makes a service."""

    project: Project
    git_options: list[tuple[str, str]]
    registry_options: list[tuple[str, str]]
    panel_url: str
    form: Filled[ServiceFields] = field(default_factory=Filled)


@router.get("/projects/{project_id}/services/new")
@guard("service.create", tenant="project_id", page=True)
async def new_service(project_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Where the code comes from, and what it is called; everything else is found by looking at it."""
    return await _draw_new(request, session, scope, project_id, Filled())


async def _draw_new(
    request: Request, session: AsyncSession, scope: CurrentScope, project_id: str, form: Filled[ServiceFields]
) -> Response:
    project = await queries.get_project(session, scope, project_id)
    git = await list_git_credentials(session, scope, limit=200)
    registries = await list_registry_credentials(session, scope, limit=200)
    panel = request.app.state.settings.panel_url
    page = NewServicePage(project, _options(git.items), _options(registries.items), panel, form)
    return render(request, "services/new.html", page, status=form.status)


def _options(rows: Sequence[GitCredential | RegistryCredential]) -> list[tuple[str, str]]:
    return [(row.id, row.name) for row in rows]


@router.post("/projects/{project_id}/services/new")
@guard("service.create", tenant="project_id", rate="write", audit="ServiceCreated", page=True)
async def make_service(
    project_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Make it, and go there."""

    async def make(fields: ServiceFields) -> str:
        project = await queries.get_project(session, scope, project_id)
        return f"/services/{(await actions.create_service(session, scope, project, fields)).id}"

    filled = fill(ServiceFields, new_service_data(form), form)
    return await _submit(session, filled, make, lambda again: _draw_new(request, session, scope, project_id, again))


@dataclass(frozen=True, slots=True)
class FoundPage:
    """What a look at a source gave: what was found, or why nothing was."""

    source_type: str
    credential_id: str
    credentials: list[tuple[str, str]]
    found: Detected | None = None
    problem: OrcaError | None = None


@router.post("/projects/{project_id}/services/new/look")
@guard("service.create", tenant="project_id", rate="write", audit="SourceInspected", page=True)
async def look_at_source(
    project_id: str, request: Request, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """A fragment for the form: what its source is, and what the other fields would be."""
    filled = fill(SourceToDetect, {"build_source": source_data(form)}, form)
    try:
        if filled.model is None:
            raise BadInput(_first_problem(filled.errors), hint="Correct the field above; then it is looked at again.")
        look = detect(resources, scope, project_id, filled.model.source)
        return await _draw_found(request, resources, scope, form, await until_gone(request, look))
    except OrcaError as error:
        return await _draw_found(request, resources, scope, form, error)


async def _draw_found(
    request: Request, resources: Resources, scope: Scope, form: Mapping[str, str], seen: Detected | OrcaError
) -> Response:
    """With the credentials that there are now: one may have been made since the page was opened."""
    async with resources.db.read() as session:
        credentials = _options((await list_git_credentials(session, scope, limit=200)).items)
    found, problem = (None, seen) if isinstance(seen, OrcaError) else (seen, None)
    chosen = form.get("git_credential_id", "")
    page = FoundPage(form.get("source_type", "git"), chosen, credentials, found, problem)
    return render(request, "services/_found.html", page, status=422 if problem else 200)


def _first_problem(errors: Mapping[str, str]) -> str:
    place, message = next(iter(errors.items()))
    field = place.rpartition(".")[2].capitalize()
    return f"{field} is still empty" if message == "Field required" else f"{field}: {message}"


@dataclass(frozen=True, slots=True)
class VariablesPage:
    """What a service finds in its environment."""

    service: Service
    project: Project
    variables: Sequence[Variable]
    inherited: Sequence[Variable]
    form: Filled[NamedVariable] = field(default_factory=Filled)
    revealed: Mapping[str, str] = field(default_factory=dict)
    tab: str = "variables"


@router.get("/services/{service_id}/variables")
@guard("variable.read", tenant="service_id", page=True)
async def show_variables(service_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Its own variables and those of its project. Secret values are never shown here."""
    return await _draw_variables(request, session, scope, service_id)


async def _draw_variables(
    request: Request,
    session: AsyncSession,
    scope: CurrentScope,
    service_id: str,
    form: Filled[NamedVariable] | None = None,
    revealed: Mapping[str, str] | None = None,
) -> Response:
    service, project = await _service_and_project(session, scope, service_id)
    own = await queries.list_variables(session, "service", service_id)
    taken = {variable.key for variable in own}
    inherited = await queries.list_variables(session, "project", service.project_id)
    form = form or Filled()
    page = VariablesPage(
        service, project, own, [each for each in inherited if each.key not in taken], form, revealed or {}
    )
    return render(request, "services/variables.html", page, status=form.status)


async def _service_and_project(session: AsyncSession, scope: CurrentScope, service_id: str) -> tuple[Service, Project]:
    service = await queries.get_service(session, scope, service_id)
    return service, await queries.get_project(session, scope, service.project_id)


@router.post("/services/{service_id}/variables")
@guard("variable.write", tenant="service_id", rate="write", audit="VariablesChanged", page=True)
async def set_variable(
    service_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Set one; an existing one of that name is replaced."""

    async def put(variable: NamedVariable) -> str:
        await queries.get_service(session, scope, service_id)
        await actions.set_variables(session, resources.secret_box, scope, ("service", service_id), [variable])
        return f"/services/{service_id}/variables"

    flags = {name: form.get(name) == "true" for name in ("is_secret", "is_build_time")}
    data = {**given(form, "key"), "value": form.get("value", ""), **flags}
    shown = {name: value for name, value in form.items() if name != "value"}
    filled = fill(NamedVariable, data, shown)
    return await _submit(
        session, filled, put, lambda again: _draw_variables(request, session, scope, service_id, again)
    )


@router.post("/services/{service_id}/variables/{key}/delete")
@guard("variable.write", tenant="service_id", rate="write", audit="VariablesChanged", page=True)
async def delete_variable(service_id: str, key: str, session: WriteSession, scope: CurrentScope) -> Response:
    """Forget one; what runs keeps it until the next deployment."""
    await queries.get_service(session, scope, service_id)
    await actions.remove_variables(session, scope, ("service", service_id), [key])
    return RedirectResponse(f"/services/{service_id}/variables", SEE_OTHER)


@router.post("/services/{service_id}/variables/{key}/reveal")
@guard("variable.reveal", tenant="service_id", rate="reveal", audit="VariableRevealed", page=True)
async def reveal_variable(
    service_id: str, key: str, request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Show one secret value, once, and write down who looked."""
    await queries.get_service(session, scope, service_id)
    value = await actions.reveal_variable(session, resources.secret_box, scope, ("service", service_id), key)
    return await _draw_variables(request, session, scope, service_id, revealed={key: value})


@dataclass(frozen=True, slots=True)
class VolumesPage:
    """Data that outlives containers."""

    service: Service
    project: Project
    volumes: Sequence[Volume]
    detached: Sequence[Volume]
    form: Filled[VolumeFields] = field(default_factory=Filled)
    tab: str = "volumes"


@router.get("/services/{service_id}/volumes")
@guard("service.read", tenant="service_id", page=True)
async def show_volumes(service_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Attached volumes, and detached ones of the project."""
    return await _draw_volumes(request, session, scope, service_id, Filled())


async def _draw_volumes(
    request: Request, session: AsyncSession, scope: CurrentScope, service_id: str, form: Filled[VolumeFields]
) -> Response:
    service, project = await _service_and_project(session, scope, service_id)
    everything = await queries.list_project_volumes(session, scope, service.project_id, limit=200)
    own = await queries.list_volumes(session, scope, service_id)
    detached = [volume for volume in everything.items if volume.service_id is None]
    page = VolumesPage(service, project, own, detached, form)
    return render(request, "services/volumes.html", page, status=form.status)


@router.post("/services/{service_id}/volumes")
@guard("volume.create", tenant="service_id", rate="write", audit="VolumeAttached", page=True)
async def attach_volume(
    service_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """A new volume, or a detached one again; it is there from the next deployment on."""

    async def attach(fields: VolumeFields) -> str:
        await actions.attach_volume(session, scope, service_id, fields)
        return f"/services/{service_id}/volumes"

    filled = fill(VolumeFields, given(form, "name", "path", "volume_id"), form)
    return await _submit(
        session, filled, attach, lambda again: _draw_volumes(request, session, scope, service_id, again)
    )


@router.post("/services/{service_id}/volumes/{volume_id}/detach")
@guard("volume.update", tenant="service_id", rate="write", audit="VolumeDetached", page=True)
async def detach_volume(service_id: str, volume_id: str, session: WriteSession, scope: CurrentScope) -> Response:
    """The data stays."""
    await actions.detach_volume(session, scope, service_id, volume_id)
    return RedirectResponse(f"/services/{service_id}/volumes", SEE_OTHER)


@router.post("/volumes/{volume_id}/destroy")
@guard("volume.delete", tenant="volume_id", rate="write", audit="VolumeDestructionRequested", page=True)
async def destroy_volume(
    volume_id: str, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """The data goes; only a detached volume, only by its name."""
    volume = await actions.request_destruction(session, resources.tasks, scope, volume_id, form.get("confirm", ""))
    return RedirectResponse(f"/projects/{volume.project_id}", SEE_OTHER)


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """How a service is built and run."""

    service: Service
    project: Project
    values: Mapping[str, str]
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
    service, project = await _service_and_project(session, scope, service_id)
    page = SettingsPage(service, project, form.values or settings_values(service), form)
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
    return await _submit(
        session, filled, save, lambda again: _draw_settings(request, session, scope, service_id, again)
    )


@router.post("/services/{service_id}/delete")
@guard("service.delete", tenant="service_id", rate="write", audit="ServiceDeleted", page=True)
async def delete_service(service_id: str, session: WriteSession, scope: CurrentScope, form: Form) -> Response:
    """Only by its name. Its volumes stay."""
    service = await queries.get_service(session, scope, service_id)
    if form.get("confirm") != service.slug:
        raise BadInput("the name does not match, so nothing was deleted", hint=f"Type “{service.slug}”.")
    await actions.delete_service(session, scope, service_id, service.slug)
    return RedirectResponse(f"/projects/{service.project_id}", SEE_OTHER)
