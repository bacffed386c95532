"""The page of a service's variables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.features.services import actions, queries
from orca.features.services.forms import given
from orca.features.services.models import Project, Service, Variable
from orca.features.services.pages.answers import SEE_OTHER, service_and_project, submit
from orca.features.services.schemas import NamedVariable
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)


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
    service, project = await service_and_project(session, scope, service_id)
    own = await queries.list_variables(session, "service", service_id)
    taken = {variable.key for variable in own}
    inherited = await queries.list_variables(session, "project", service.project_id)
    form = form or Filled()
    page = VariablesPage(
        service, project, own, [each for each in inherited if each.key not in taken], form, revealed or {}
    )
    return render(request, "services/variables.html", page, status=form.status)


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
    return await submit(session, filled, put, lambda again: _draw_variables(request, session, scope, service_id, again))


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
