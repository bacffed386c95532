"""The page that creates a service: it inspects the source, shows the result, and fills in the form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from fastapi import Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput, Forbidden, OrcaError
from orca.features.credentials.actions import trust_host_keys
from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.features.credentials.queries import list_credentials
from orca.features.credentials.schemas import GitCredentialChanges
from orca.features.projects.models import Project
from orca.features.projects.queries import choose_environment, get_project, list_environments
from orca.features.projects.rules import SlugFragment, propose_slug
from orca.features.services import actions
from orca.features.services.detection import Detected, NothingToLookAt, SourceToDetect
from orca.features.services.first_deployment import deploy_first
from orca.features.services.forms import (
    check_looked,
    check_port_chosen,
    chosen_processes,
    new_service_data,
    process_service,
    source_data,
)
from orca.features.services.pages.answers import credential_options
from orca.features.services.pipeline import DEADLINE, detect
from orca.features.services.queries import read_naming
from orca.features.services.schemas.services import ServiceFields
from orca.features.sources.rules import RepoUrl
from orca.kit.pagination import PageRequest
from orca.resources import Resources
from orca.web.answers import Redirect, submit
from orca.web.disconnect import cancel_on_disconnect
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, CurrentSubject, Router, Scope, guard
from orca.web.render import render

router = Router(include_in_schema=False)
TypedName = Annotated[str, Query(max_length=200)]
ChosenEnvironment = Annotated[str | None, Query(max_length=40)]


@dataclass(frozen=True, slots=True)
class NewServicePage:
    """The form that creates a service."""

    project: Project
    credentials: list[tuple[str, str]]
    registry_options: list[tuple[str, str]]
    panel_url: str
    upload_limit_mb: int
    environments: list[tuple[str, str]]
    """Slug and name of each, where there are more than one to choose from."""
    form: Filled[ServiceFields] = field(default_factory=Filled)


@router.get("/projects/{project_id}/services/new")
@guard("service.create", tenant="project_id", page=True)
async def new_service(project_id: str, request: Request, session: ReadSession, scope: CurrentScope) -> Response:
    """Show the form: it asks for source and name; the other fields are filled by inspecting the source."""
    return await _draw_new(request, session, scope, project_id, Filled())


async def _draw_new(
    request: Request, session: AsyncSession, scope: CurrentScope, project_id: str, form: Filled[ServiceFields]
) -> Response:
    project = await get_project(session, scope, project_id)
    git = await list_credentials(session, scope, GitCredential, PageRequest(limit=200))
    registries = await list_credentials(session, scope, RegistryCredential, PageRequest(limit=200))
    environments = [(row.slug, row.name) for row in await list_environments(session, scope, project.id)]
    settings, subject = request.app.state.settings, request.state.subject
    logins = credential_options(subject, registries.items)
    page = NewServicePage(
        project, credential_options(subject, git.items), logins, settings.panel_url, settings.disk.upload_limit_mb,
        environments if len(environments) > 1 else [], form,
    )  # fmt: skip
    return render(request, "services/new.html", page, status=form.status)


@router.get("/projects/{project_id}/services/new/slug")
@guard("service.create", tenant="project_id", page=True)
async def suggest_slug(
    project_id: str,
    request: Request,
    session: ReadSession,
    scope: CurrentScope,
    name: TypedName = "",
    environment: ChosenEnvironment = None,
) -> Response:
    """Return the slug for a name that is being typed, or why there is none."""
    project = await get_project(session, scope, project_id)
    naming = await read_naming(session, await choose_environment(session, project, environment))
    return render(request, "projects/_slug.html", SlugFragment(propose_slug(naming, name)))


@router.post("/projects/{project_id}/services/new")
@guard("service.create", tenant="project_id", rate="write", audit="ServiceCreated", page=True)
async def make_service(
    project_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Create the service, and redirect to its first deployment, or to its page when none was asked for."""

    async def make(fields: ServiceFields) -> Redirect:
        project = await get_project(session, scope, project_id)
        check_port_chosen(form)
        if fields.deploy:
            check_looked(form)
        workers = [process_service(fields, name, command) for name, command in chosen_processes(form).items()]
        services = [await actions.create_service(session, scope, project, wanted) for wanted in (fields, *workers)]
        name = services[0].name
        if not fields.deploy:
            said = "Its first deployment is yours to start."
            return Redirect(f"/services/{services[0].id}", f"{name} is created", said)
        first, *_ = [await deploy_first(session, resources, service, "page") for service in services]
        return Redirect(f"/deployments/{first}", f"{name} is created and being deployed")

    filled = fill(ServiceFields, new_service_data(form), form)
    return await submit(request, session, filled, make, partial(_draw_new, request, session, scope, project_id))


@dataclass(frozen=True, slots=True)
class FoundPage:
    """The result of inspecting a source: what was found, or the problem."""

    project_id: str
    source_type: str
    is_ssh: bool
    host: str
    """Host of the repository in the form that a credential stores; empty without a valid repository."""
    credential_id: str
    credentials: list[tuple[str, str]]
    found: Detected | None = None
    problem: OrcaError | None = None


@router.post("/projects/{project_id}/services/new/look")
@guard("service.create", tenant="project_id", rate="write", audit="SourceInspected", page=True, seconds=2 * DEADLINE)
async def look_at_source(
    project_id: str, request: Request, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Inspect the source; return a fragment with the result and the values of the other fields."""
    filled = fill(SourceToDetect, {"source": source_data(form)}, form)
    try:
        if filled.model is None:
            raise _first_problem(filled.errors)
        look = detect(resources, scope, project_id, filled.model.source)
        return await _draw_found(request, resources, project_id, form, await cancel_on_disconnect(request, look))
    except OrcaError as error:
        return await _draw_found(request, resources, project_id, form, error)


@router.post("/projects/{project_id}/services/new/trust")
@guard("credential.update", tenant="project_id", rate="write", audit="GitCredentialUpdated", page=True)
async def trust_host(
    project_id: str,
    request: Request,
    scope: CurrentScope,
    subject: CurrentSubject,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Add the confirmed host keys to the chosen credential, and let the page inspect the source again."""
    if not subject.can("credential.update", subject.whole_team):
        raise Forbidden(
            "This needs the permission credential.update in the whole team, to which the credential belongs."
        )
    filled = fill(GitCredentialChanges, {"known_hosts": form.get("host_keys", "")}, form)
    try:
        if filled.model is None or not filled.model.known_hosts:
            raise BadInput("there are no host keys to trust", hint="Look at the source again.")
        async with resources.db.write(scope.team_id) as session:
            await trust_host_keys(session, scope, form.get("git_credential_id", ""), filled.model.known_hosts)
    except OrcaError as error:
        return await _draw_found(request, resources, project_id, form, error)
    return Response(status_code=204, headers={"HX-Trigger": "look-again"})


async def _draw_found(
    request: Request, resources: Resources, project_id: str, form: Mapping[str, str], seen: Detected | OrcaError
) -> Response:
    """Render the result with the current credentials: one may have been created since the page was opened."""
    subject = request.state.subject
    scope = Scope(subject.team_id)
    async with resources.db.read(scope.team_id, scope.reach) as session:
        git = await list_credentials(session, scope, GitCredential, PageRequest(limit=200))
    credentials = credential_options(subject, git.items)
    found, problem = (None, seen) if isinstance(seen, OrcaError) else (seen, None)
    page = FoundPage(
        project_id=project_id,
        source_type=form.get("source_type", "git"),
        is_ssh=not form.get("repository", "").startswith("https://"),
        host=_credential_host(form.get("repository", "")),
        credential_id=form.get("git_credential_id", ""),
        credentials=credentials,
        found=found,
        problem=problem,
    )
    return render(request, "services/_found.html", page, status=422 if problem else 200)


def _credential_host(repository: str) -> str:
    try:
        return RepoUrl.parse(repository).authority
    except BadInput:
        return ""


def _first_problem(errors: Mapping[str, str]) -> BadInput:
    place, message = next(iter(errors.items()))
    field = place.rpartition(".")[2]
    if message == "is missing":
        return NothingToLookAt(f"First type the {field}", hint="It is looked at as soon as you leave the field.")
    return BadInput(f"{field.capitalize()}: {message}", hint="Correct the field; then it is looked at again.")
