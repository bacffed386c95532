"""REST doors of variables: the same seven for projects and for services."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Path

from orca.db import ReadSession, WriteSession
from orca.features.services import actions, queries
from orca.features.services.models import Variable
from orca.features.services.schemas import (
    NamedVariable,
    Revealed,
    VariableChanges,
    VariableFields,
    VariableKey,
    VariableOut,
    Variables,
)
from orca.web.guard import CurrentResources, CurrentScope, Router, guard

router = Router(prefix="/api/v1", tags=["variables"])
Key = Annotated[VariableKey, Path(max_length=128)]


@router.get("/projects/{project_id}/variables", response_model=list[VariableOut], summary="List a project's variables")
@guard("variable.read", tenant="project_id")
async def list_project_variables(project_id: str, session: ReadSession, scope: CurrentScope) -> Sequence[Variable]:
    """Each service of the project gets them, unless it has its own of that name. Secret values are null."""
    await queries.get_project(session, scope, project_id)
    return await queries.list_variables(session, "project", project_id)


@router.put(
    "/projects/{project_id}/variables", response_model=list[VariableOut], summary="Replace a project's variables"
)
@guard("variable.write", tenant="project_id", rate="write", audit="VariablesChanged")
async def replace_project_variables(
    project_id: str, body: Variables, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Sequence[Variable]:
    """Those that are not listed go; one that is listed without a value keeps the stored value."""
    await queries.get_project(session, scope, project_id, lock=True)
    return await actions.replace_variables(
        session, resources.secret_box, scope, ("project", project_id), body.variables
    )


@router.patch(
    "/projects/{project_id}/variables", response_model=list[VariableOut], summary="Change some of a project's variables"
)
@guard("variable.write", tenant="project_id", rate="write", audit="VariablesChanged")
async def change_project_variables(
    project_id: str, body: VariableChanges, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Sequence[Variable]:
    """Those that are not named stay."""
    await queries.get_project(session, scope, project_id, lock=True)
    return await actions.change_variables(session, resources.secret_box, scope, ("project", project_id), body)


@router.put("/projects/{project_id}/variables/{key}", response_model=VariableOut, summary="Set a project variable")
@guard("variable.write", tenant="project_id", rate="write", audit="VariablesChanged")
async def set_project_variable(
    project_id: str,
    key: Key,
    body: VariableFields,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> Variable:
    """Takes effect with the next deployment of each service."""
    await queries.get_project(session, scope, project_id, lock=True)
    given = [NamedVariable(key=key, **body.model_dump())]
    return (await actions.set_variables(session, resources.secret_box, scope, ("project", project_id), given))[0]


@router.delete("/projects/{project_id}/variables/{key}", status_code=204, summary="Remove a project variable")
@guard("variable.write", tenant="project_id", rate="write", audit="VariablesChanged")
async def remove_project_variable(project_id: str, key: Key, session: WriteSession, scope: CurrentScope) -> None:
    """One that is not there is no error."""
    await queries.get_project(session, scope, project_id, lock=True)
    await actions.remove_variables(session, scope, ("project", project_id), [key])


@router.post("/projects/{project_id}/variables/{key}/reveal", summary="Reveal a project variable")
@guard("variable.reveal", tenant="project_id", rate="reveal", audit="VariableRevealed")
async def reveal_project_variable(
    project_id: str, key: Key, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Revealed:
    """The value, also of a secret one. That you looked is recorded."""
    await queries.get_project(session, scope, project_id)
    value = await actions.reveal_variable(session, resources.secret_box, scope, ("project", project_id), key)
    return Revealed(key=key, value=value)


@router.get("/services/{service_id}/variables", response_model=list[VariableOut], summary="List a service's variables")
@guard("variable.read", tenant="service_id")
async def list_service_variables(service_id: str, session: ReadSession, scope: CurrentScope) -> Sequence[Variable]:
    """Its own, without those of its project. Secret values are null."""
    await queries.get_service(session, scope, service_id)
    return await queries.list_variables(session, "service", service_id)


@router.put(
    "/services/{service_id}/variables", response_model=list[VariableOut], summary="Replace a service's variables"
)
@guard("variable.write", tenant="service_id", rate="write", audit="VariablesChanged")
async def replace_service_variables(
    service_id: str, body: Variables, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Sequence[Variable]:
    """Those that are not listed go; one that is listed without a value keeps the stored value."""
    await queries.get_service(session, scope, service_id, lock=True)
    return await actions.replace_variables(
        session, resources.secret_box, scope, ("service", service_id), body.variables
    )


@router.patch(
    "/services/{service_id}/variables", response_model=list[VariableOut], summary="Change some of a service's variables"
)
@guard("variable.write", tenant="service_id", rate="write", audit="VariablesChanged")
async def change_service_variables(
    service_id: str, body: VariableChanges, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Sequence[Variable]:
    """Those that are not named stay."""
    await queries.get_service(session, scope, service_id, lock=True)
    return await actions.change_variables(session, resources.secret_box, scope, ("service", service_id), body)


@router.put("/services/{service_id}/variables/{key}", response_model=VariableOut, summary="Set a service variable")
@guard("variable.write", tenant="service_id", rate="write", audit="VariablesChanged")
async def set_service_variable(
    service_id: str,
    key: Key,
    body: VariableFields,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> Variable:
    """Takes effect with the next deployment."""
    await queries.get_service(session, scope, service_id, lock=True)
    given = [NamedVariable(key=key, **body.model_dump())]
    return (await actions.set_variables(session, resources.secret_box, scope, ("service", service_id), given))[0]


@router.delete("/services/{service_id}/variables/{key}", status_code=204, summary="Remove a service variable")
@guard("variable.write", tenant="service_id", rate="write", audit="VariablesChanged")
async def remove_service_variable(service_id: str, key: Key, session: WriteSession, scope: CurrentScope) -> None:
    """One that is not there is no error."""
    await queries.get_service(session, scope, service_id, lock=True)
    await actions.remove_variables(session, scope, ("service", service_id), [key])


@router.post("/services/{service_id}/variables/{key}/reveal", summary="Reveal a service variable")
@guard("variable.reveal", tenant="service_id", rate="reveal", audit="VariableRevealed")
async def reveal_service_variable(
    service_id: str, key: Key, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Revealed:
    """The value, also of a secret one. That you looked is recorded."""
    await queries.get_service(session, scope, service_id)
    value = await actions.reveal_variable(session, resources.secret_box, scope, ("service", service_id), key)
    return Revealed(key=key, value=value)
