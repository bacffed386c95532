"""REST doors of projects and their environments."""

from typing import Annotated

from fastapi import Query

from orca.db import ReadSession, WriteSession
from orca.features.projects import actions, queries
from orca.features.projects.models import Environment, Project
from orca.features.projects.schemas import (
    EnvironmentChanges,
    EnvironmentFields,
    EnvironmentOut,
    ProjectChanges,
    ProjectFields,
    ProjectFilter,
    ProjectOut,
)
from orca.kit.pagination import Page
from orca.web.guard import CurrentScope, Router, guard, narrowed

router = Router(prefix="/api/v1", tags=["projects"])


@router.post("/projects", status_code=201, response_model=ProjectOut, summary="Make a project")
@guard("project.create", rate="write", audit="ProjectCreated")
async def create_project(body: ProjectFields, session: WriteSession, scope: CurrentScope) -> Project:
    """Create a project. It starts with one environment, `production`."""
    return await actions.create_project(session, scope, body)


@router.get("/projects", response_model=Page[ProjectOut], summary="List projects")
@narrowed()
@guard("project.read")
async def list_projects(
    session: ReadSession, scope: CurrentScope, wanted: Annotated[ProjectFilter, Query()]
) -> Page[Project]:
    """List the projects that you may read, newest first."""
    return await queries.list_projects(session, scope, wanted)


@router.get("/projects/{project_id}", response_model=ProjectOut, summary="Read a project")
@narrowed()
@guard("project.read", tenant="project_id")
async def get_project(project_id: str, session: ReadSession, scope: CurrentScope) -> Project:
    """One project."""
    return await queries.get_project(session, scope, project_id)


@router.get("/projects/{project_id}/environments", summary="List the environments of a project")
@narrowed()
@guard("project.read", tenant="project_id")
async def list_environments(project_id: str, session: ReadSession, scope: CurrentScope) -> list[EnvironmentOut]:
    """List the environments that you may read, in the order in which they were made."""
    rows = await queries.list_environments(session, scope, project_id)
    return [EnvironmentOut.model_validate(row) for row in rows]


@router.post(
    "/projects/{project_id}/environments", status_code=201, response_model=EnvironmentOut, summary="Make an environment"
)
@guard("environment.create", tenant="project_id", rate="write", audit="EnvironmentCreated")
async def create_environment(
    project_id: str, body: EnvironmentFields, session: WriteSession, scope: CurrentScope
) -> Environment:
    """Create an environment beside `production`, such as `staging`: services in it have a network of their own."""
    return await actions.create_environment(session, scope, project_id, body)


@router.get("/environments/{environment_id}", response_model=EnvironmentOut, summary="Read an environment")
@guard("project.read", tenant="environment_id")
async def get_environment(environment_id: str, session: ReadSession, scope: CurrentScope) -> Environment:
    """One environment; its services are listed by `environment_id` at `GET /services`."""
    return await queries.get_environment(session, scope, environment_id)


@router.patch("/environments/{environment_id}", response_model=EnvironmentOut, summary="Change an environment")
@guard("environment.update", tenant="environment_id", rate="write", audit="EnvironmentUpdated")
async def update_environment(
    environment_id: str, body: EnvironmentChanges, session: WriteSession, scope: CurrentScope
) -> Environment:
    """Change the name; the slug is part of those of its services and stays."""
    return await actions.update_environment(session, scope, environment_id, body)


@router.delete("/environments/{environment_id}", status_code=204, summary="Delete an environment")
@guard("environment.delete", tenant="environment_id", rate="write", audit="EnvironmentDeleted")
async def delete_environment(environment_id: str, session: WriteSession, scope: CurrentScope) -> None:
    """Delete an environment with the grants on it. `production` stays (409).

    Refused (409) while it has services or volumes; `blockers` lists them.
    """
    await actions.delete_environment(session, scope, environment_id)


@router.patch("/projects/{project_id}", response_model=ProjectOut, summary="Change a project")
@guard("project.update", tenant="project_id", rate="write", audit="ProjectUpdated")
async def update_project(project_id: str, body: ProjectChanges, session: WriteSession, scope: CurrentScope) -> Project:
    """Change name and description; the slug is part of hostnames and stays."""
    return await actions.update_project(session, scope, project_id, body)


@router.delete("/projects/{project_id}", status_code=204, summary="Delete a project")
@guard("project.delete", tenant="project_id", rate="write", audit="ProjectDeleted")
async def delete_project(project_id: str, session: WriteSession, scope: CurrentScope) -> None:
    """Delete a project. Refused (409) while it has services or volumes; `blockers` lists them.

    `POST …/deletion` deletes it with all that is in it.
    """
    await actions.delete_project(session, scope, project_id)
