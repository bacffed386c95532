"""Pages that make and change services: new service, variables, volumes, settings."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput, OrcaError
from orca.features.services import actions, queries
from orca.features.services.models import Project, Service, Variable, Volume
from orca.features.services.schemas import NamedVariable, ServiceChanges, ServiceFields, VolumeFields
from orca.features.sources.models import GitCredential, RegistryCredential
from orca.features.sources.queries import list_git_credentials, list_registry_credentials
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)
SEE_OTHER = 303


@dataclass(frozen=True, slots=True)
class NewServicePage:
    """The form that makes a service."""

    project: Project
    git_options: list[tuple[str, str]]
    registry_options: list[tuple[str, str]]
    form: Filled[ServiceFields] = field(default_factory=Filled)


@router.get("/projects/{project_id}/services/new")
@guard("service.create", tenant="project_id", page=True)
async def new_service(project_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Where the code comes from, and what it is called; everything else has a good default."""
    return render(request, "services/new.html", await _new_page(session, scope, project_id, Filled()))


async def _new_page(
    session: ReadSession, scope: CurrentScope, project_id: str, form: Filled[ServiceFields]
) -> NewServicePage:
    project = await queries.get_project(session, scope, project_id)
    git = await list_git_credentials(session, scope, limit=200)
    registries = await list_registry_credentials(session, scope, limit=200)
    return NewServicePage(project, _options(git.items), _options(registries.items), form)


def _options(rows: Sequence[GitCredential | RegistryCredential]) -> list[tuple[str, str]]:
    return [(row.id, row.name) for row in rows]


@router.post("/projects/{project_id}/services/new")
@guard("service.create", tenant="project_id", rate="write", audit="ServiceCreated", page=True)
async def make_service(
    project_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Make it, and go there."""
    filled = fill(ServiceFields, new_service_data(form), form)
    if filled.model is not None:
        try:
            project = await queries.get_project(session, scope, project_id)
            service = await actions.create_service(session, scope, project, filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return RedirectResponse(f"/services/{service.id}", SEE_OTHER)
    await session.rollback()
    page = await _new_page(session, scope, project_id, filled)
    return render(request, "services/new.html", page, status=422)


def new_service_data(form: Mapping[str, str]) -> dict[str, Any]:
    """The typed form as the API's JSON."""
    kind = form.get("source_type", "git")
    source: dict[str, Any] = {"type": kind}
    if kind == "git":
        source |= _given(form, "repository", "branch", "subdirectory")
        source |= {"credential_id": form["git_credential_id"]} if form.get("git_credential_id") else {}
    elif kind == "image":
        source |= _given(form, "image")
        source |= {"credential_id": form["registry_credential_id"]} if form.get("registry_credential_id") else {}
    data: dict[str, Any] = {"name": form.get("name", ""), "kind": form.get("kind", "web"), "source": source}
    if form.get("port"):
        data["ports"] = [{"name": "http", "port": form["port"], "public": True}]
    return data


def _given(form: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: form[name] for name in names if form.get(name)}


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
    return render(request, "services/variables.html", await _variables_page(session, scope, service_id))


async def _variables_page(
    session: ReadSession,
    scope: CurrentScope,
    service_id: str,
    form: Filled[NamedVariable] | None = None,
    revealed: Mapping[str, str] | None = None,
) -> VariablesPage:
    service = await queries.get_service(session, scope, service_id)
    own = await queries.list_variables(session, "service", service_id)
    taken = {variable.key for variable in own}
    inherited = await queries.list_variables(session, "project", service.project_id)
    return VariablesPage(
        service,
        await queries.get_project(session, scope, service.project_id),
        own,
        [variable for variable in inherited if variable.key not in taken],
        form or Filled(),
        revealed or {},
    )


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
    data = {**_given(form, "key"), "value": form.get("value", "")}
    flags = {name: form.get(name) == "true" for name in ("is_secret", "is_build_time")}
    filled = fill(NamedVariable, {**data, **flags}, {"key": form.get("key", "")})
    if filled.model is not None:
        await queries.get_service(session, scope, service_id)
        owner = ("service", service_id)
        try:
            await actions.set_variables(session, resources.secret_box, scope, owner, [filled.model])  # type: ignore[arg-type]  # a literal pair
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return RedirectResponse(f"/services/{service_id}/variables", SEE_OTHER)
    await session.rollback()
    page = await _variables_page(session, scope, service_id, filled)
    return render(request, "services/variables.html", page, status=422)


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
    page = await _variables_page(session, scope, service_id, revealed={key: value})
    return render(request, "services/variables.html", page)


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
    return render(request, "services/volumes.html", await _volumes_page(session, scope, service_id, Filled()))


async def _volumes_page(
    session: ReadSession, scope: CurrentScope, service_id: str, form: Filled[VolumeFields]
) -> VolumesPage:
    service = await queries.get_service(session, scope, service_id)
    everything = await queries.list_project_volumes(session, scope, service.project_id, limit=200)
    return VolumesPage(
        service,
        await queries.get_project(session, scope, service.project_id),
        await queries.list_volumes(session, scope, service_id),
        [volume for volume in everything.items if volume.service_id is None],
        form,
    )


@router.post("/services/{service_id}/volumes")
@guard("volume.create", tenant="service_id", rate="write", audit="VolumeAttached", page=True)
async def attach_volume(
    service_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """A new volume, or a detached one again; it is there from the next deployment on."""
    filled = fill(VolumeFields, _given(form, "name", "path", "volume_id"), form)
    if filled.model is not None:
        try:
            await actions.attach_volume(session, scope, service_id, filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return RedirectResponse(f"/services/{service_id}/volumes", SEE_OTHER)
    await session.rollback()
    page = await _volumes_page(session, scope, service_id, filled)
    return render(request, "services/volumes.html", page, status=422)


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
    service = await queries.get_service(session, scope, service_id)
    project = await queries.get_project(session, scope, service.project_id)
    return render(request, "services/settings.html", SettingsPage(service, project, settings_values(service)))


@router.post("/services/{service_id}/settings")
@guard("service.update", tenant="service_id", rate="write", audit="ServiceUpdated", page=True)
async def save_settings(
    service_id: str, request: Request, session: WriteSession, scope: CurrentScope, form: Form
) -> Response:
    """Save; what runs now is not touched."""
    service = await queries.get_service(session, scope, service_id)
    try:
        filled = fill(ServiceChanges, settings_data(service, form), form)
    except ValueError as error:
        filled = Filled(form, {"": str(error)})
    if filled.model is not None:
        try:
            await actions.update_service(session, scope, service_id, filled.model)
        except OrcaError as error:
            filled = filled.refused(error)
        else:
            return RedirectResponse(f"/services/{service_id}/settings", SEE_OTHER)
    await session.rollback()
    project = await queries.get_project(session, scope, service.project_id)
    page = SettingsPage(await queries.get_service(session, scope, service_id), project, form, filled)
    return render(request, "services/settings.html", page, status=422)


def settings_values(service: Service) -> dict[str, str]:
    """The stored settings as the form shows them."""
    ports = ", ".join(f"{port['name']}:{port['port']}{'' if port['public'] else ' private'}" for port in service.ports)
    resources, health, source = service.resources, service.health, service.source
    return {
        "name": service.name, "kind": service.kind, "ports": ports, "replicas": str(service.replicas),
        "cpus": str(resources.get("cpus") or ""), "memory_mb": str(resources.get("memory_mb") or ""),
        "command": shlex.join(service.command), "release_command": shlex.join(service.release_command),
        "restart": service.restart, "stop_grace": f"{service.stop_grace:g}",
        "health_type": str(health["type"]), "health_path": str(health["path"]),
        "health_command": shlex.join(health.get("command", [])), "health_start_period": f"{health['start_period']:g}",
        "builder": str(service.build.get("builder", "auto")), "dockerfile": str(service.build.get("dockerfile", "")),
        "arguments": json.dumps(service.build.get("arguments", {})) if service.build.get("arguments") else "",
        "repository": str(source.get("repository", "")), "branch": str(source.get("branch") or ""),
        "subdirectory": str(source.get("subdirectory") or ""), "image": str(source.get("image", "")),
        "version": str(service.version),
    }  # fmt: skip


def settings_data(service: Service, form: Mapping[str, str]) -> dict[str, Any]:
    """The typed form as the API's JSON. Raises ValueError where a text cannot be read."""
    health = {**service.health, "type": form.get("health_type", "auto"), "path": form.get("health_path") or "/"}
    health["command"] = shlex.split(form.get("health_command", "")) if health["type"] == "command" else []
    health["start_period"] = form.get("health_start_period") or health["start_period"]
    build = {
        **service.build,
        "builder": form.get("builder", "auto"),
        "dockerfile": form.get("dockerfile") or "Dockerfile",
    }
    source = {**service.source, **_given(form, "repository", "image")}
    if source["type"] == "git":
        source |= {"branch": form.get("branch") or None, "subdirectory": form.get("subdirectory", "")}
        source |= {"tag": None, "commit": None} if form.get("branch") else {}
    return {
        **_given(form, "name", "kind", "replicas", "restart", "stop_grace", "version"),
        "ports": parse_ports(form.get("ports", "")),
        "resources": {"cpus": form.get("cpus") or None, "memory_mb": form.get("memory_mb") or None},
        "command": shlex.split(form.get("command", "")),
        "release_command": shlex.split(form.get("release_command", "")),
        "health": health, "build": build, "source": source,
    }  # fmt: skip


def parse_ports(text: str) -> list[dict[str, Any]]:
    """`http:8080, metrics:9090 private` as the API's JSON. Raises ValueError."""
    ports = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        words = part.split()
        name, _, number = words[0].rpartition(":")
        if not number.isdecimal() or words[1:] not in ([], ["private"]):
            raise ValueError(f"“{part}” is not a port: write http:8080, or metrics:9090 private")
        ports.append({"name": name or "http", "port": int(number), "public": not words[1:]})
    return ports


@router.post("/services/{service_id}/delete")
@guard("service.delete", tenant="service_id", rate="write", audit="ServiceDeleted", page=True)
async def delete_service(service_id: str, session: WriteSession, scope: CurrentScope, form: Form) -> Response:
    """Only by its name. Its volumes stay."""
    service = await queries.get_service(session, scope, service_id)
    if form.get("confirm") != service.slug:
        raise BadInput("the name does not match, so nothing was deleted", hint=f"Type “{service.slug}”.")
    await actions.delete_service(session, scope, service_id, service.slug)
    return RedirectResponse(f"/projects/{service.project_id}", SEE_OTHER)
