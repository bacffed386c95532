"""REST doors of services."""

from typing import Annotated

from fastapi import Header, Query
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import BadInput
from orca.features.projects.queries import get_environment, get_project
from orca.features.services import actions, queries
from orca.features.services.first_deployment import deploy_first
from orca.features.services.models import Service
from orca.features.services.schemas.services import (
    DeployingService,
    ServiceChanges,
    ServiceFields,
    ServiceFilter,
    ServiceOut,
)
from orca.kit.pagination import Page
from orca.resources import Resources
from orca.web.guard import CurrentResources, CurrentScope, Router, Scope, guard, narrowed

router = Router(prefix="/api/v1", tags=["services"])


Trigger = Annotated[str, Header(alias="X-Orca-Trigger", pattern="^(api|cli|page)$", description="Which door asked.")]


@router.post("/projects/{project_id}/services", status_code=201, summary="Create a service")
@guard("service.create", tenant="project_id", rate="write", audit="ServiceCreated")
async def create_service(
    project_id: str,
    body: ServiceFields,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    trigger: Trigger = "api",
) -> DeployingService | ServiceOut:
    """Create a service. Nothing runs before its first deployment, which `deploy` starts at once.

    A name or slug that another service of the project has is refused (409). `deploy` also needs `service.deploy`.
    """
    return await _create(session, scope, resources, (project_id, body), trigger)


@router.post("/environments/{environment_id}/services", status_code=201, summary="Create a service in an environment")
@guard("service.create", tenant="environment_id", rate="write", audit="ServiceCreated")
async def create_service_in_environment(
    environment_id: str,
    body: ServiceFields,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    trigger: Trigger = "api",
) -> DeployingService | ServiceOut:
    """Create a service like `POST /projects/{project_id}/services`, for those who may in this environment only."""
    environment = await get_environment(session, scope, environment_id)
    if body.environment not in {None, environment.id, environment.slug}:
        problem = "is not the environment of the address"
        raise BadInput(f"environment: {problem}", fields={"environment": problem})
    fields = body.model_copy(update={"environment": environment.id})
    return await _create(session, scope, resources, (environment.project_id, fields), trigger)


async def _create(
    session: AsyncSession, scope: Scope, resources: Resources, wanted: tuple[str, ServiceFields], trigger: str
) -> DeployingService | ServiceOut:
    project_id, body = wanted
    project = await get_project(session, scope, project_id)
    service = await actions.create_service(session, scope, project, body)
    made = ServiceOut.model_validate(service)
    if not body.deploy:
        return made
    deployment_id = await deploy_first(session, resources, service, trigger)
    return DeployingService.model_validate({**made.model_dump(), "deployment_id": deployment_id})


@router.get("/projects/{project_id}/services", response_model=Page[ServiceOut], summary="List a project's services")
@narrowed()
@guard("service.read", tenant="project_id")
async def list_services(
    project_id: str, session: ReadSession, scope: CurrentScope, wanted: Annotated[ServiceFilter, Query()]
) -> Page[Service]:
    """List the services of a project, newest first."""
    return await queries.list_services(session, scope, project_id, wanted)


@router.get("/services/{service_id}", response_model=ServiceOut, summary="Read a service")
@guard("service.read", tenant="service_id")
async def get_service(service_id: str, session: ReadSession, scope: CurrentScope) -> Service:
    """Return a service with its settings; its running replicas are listed at `/containers`."""
    return await queries.get_service(session, scope, service_id)


@router.patch("/services/{service_id}", response_model=ServiceOut, summary="Change a service")
@guard("service.update", tenant="service_id", rate="write", audit="ServiceUpdated")
async def update_service(service_id: str, body: ServiceChanges, session: WriteSession, scope: CurrentScope) -> Service:
    """Change settings; they take effect with the next deployment. With an outdated `version` it is refused (409)."""
    return await actions.update_service(session, scope, service_id, body)


@router.delete("/services/{service_id}", status_code=204, summary="Delete a service")
@guard("service.delete", tenant="service_id", rate="write", audit="ServiceDeleted")
async def delete_service(
    service_id: str,
    session: WriteSession,
    scope: CurrentScope,
    confirm: str | None = Query(None, max_length=40, description="The slug of the service."),
) -> None:
    """Delete a service. Its containers are stopped and removed; its volumes are detached and kept."""
    await actions.delete_service(session, scope, service_id, confirm)
