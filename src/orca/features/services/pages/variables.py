"""The pages of variables: those of a service, and those that the services of a project share."""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import Conflict
from orca.features.projects.models import Project
from orca.features.projects.queries import get_project
from orca.features.services import actions, queries, rules
from orca.features.services.actions.variables import Owner
from orca.features.services.comparison import ConfigChange
from orca.features.services.forms import dotenv_data, variable_data
from orca.features.services.models import Service, Variable
from orca.features.services.owners import put_door
from orca.features.services.raw_variables import compare_raw, raw_data, revision_of, write_raw
from orca.features.services.schemas.variables import NamedVariable, VariableChanges
from orca.features.services.service_status import ServiceStatus, load_header
from orca.kit.amounts import counted
from orca.kit.fields import Strict
from orca.web.answers import Redirect, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router
from orca.web.redirects import see_other
from orca.web.render import render

router = Router(include_in_schema=False)
door = partial(put_door, router, page=True)
writing = partial(door, permission="variable.write", rate="write", audit="VariablesChanged")


class WantedForm(Strict):
    """What the page of variables shows besides them: one of these."""

    edit: str = ""
    """The key of a variable to change."""
    override: str = ""
    """The key of a variable of the project that gets a value of the service's own."""
    add: Annotated[str, Field(max_length=255)] = ""
    """The key that the form for a new one begins with."""
    raw: bool = False
    """All as the text of a `.env` file."""


@dataclass(frozen=True, slots=True)
class VariableForms:
    """The submitted forms, and the variables to reveal."""

    form: Filled[NamedVariable] = field(default_factory=Filled)
    imported: Filled[VariableChanges] = field(default_factory=Filled)
    raw: Filled[VariableChanges] | None = None
    """The text of all variables, where that is edited."""
    revealed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VariablesView:
    """The part that both pages share: `services/_variables.html`."""

    place: str
    """Address of the owner."""
    rows: Sequence[Variable]
    inherited: Sequence[Variable]
    asked: VariableForms
    overriding: Collection[str] = ()
    """Keys with which the service overrides its project."""
    secret_like: Mapping[str, object] = field(default_factory=lambda: rules.SECRET_LIKE)

    @property
    def is_raw(self) -> bool:
        """Whether the text of all variables is edited."""
        return self.asked.raw is not None

    @property
    def revision(self) -> str:
        """Of the variables as they are shown; a save of the whole text says with it what it replaces."""
        return revision_of(self.rows)


@dataclass(frozen=True, slots=True)
class VariablesPage:
    """The page of a service's variables."""

    service: Service
    project: Project
    status: ServiceStatus
    shown: VariablesView
    tab: str = "variables"


@dataclass(frozen=True, slots=True)
class SharedPage:
    """The page of the variables that all services of a project share."""

    project: Project
    shown: VariablesView
    tab: str = "variables"


@door("GET", "/variables", permission="variable.read")
async def show_variables(
    owner: Owner, request: Request, session: ReadSession, scope: CurrentScope, wanted: Annotated[WantedForm, Query()]
) -> Response:
    """Show the owner's variables and those of its project, without secret values."""
    await queries.check_owner(session, scope, owner)
    asked = VariableForms()
    if wanted.edit:
        row = await queries.get_variable(session, *owner, wanted.edit)
        asked = VariableForms(form=Filled({**_values_of(row), "editing": "secret" if row.is_secret else "plain"}))
    elif wanted.override and owner[0] == "service":
        project_id = (await queries.get_service(session, scope, owner[1])).project_id
        asked = VariableForms(
            form=Filled(_values_of(await queries.get_variable(session, "project", project_id, wanted.override)))
        )
    elif wanted.add:
        asked = VariableForms(form=Filled({"key": wanted.add}))
    elif wanted.raw:
        asked = VariableForms(raw=Filled({"text": write_raw(await queries.list_variables(session, *owner))}))
    return await _draw(request, session, scope, owner, asked)


def _values_of(row: Variable) -> dict[str, str]:
    flags = {name: "true" for name in ("is_secret", "is_build_time") if getattr(row, name)}
    return {"key": row.key, "value": row.value or "", **flags}


async def _draw(
    request: Request, session: AsyncSession, scope: CurrentScope, owner: Owner, asked: VariableForms
) -> Response:
    kind, owner_id = owner
    rows = await queries.list_variables(session, kind, owner_id)
    status = max(form.status for form in (asked.form, asked.imported, asked.raw or asked.form))
    shown = VariablesView(f"/{kind}s/{owner_id}", rows, (), asked)
    if kind == "project":
        page = SharedPage(await get_project(session, scope, owner_id), shown)
        return render(request, "services/shared_variables.html", page, status=status)
    head = await load_header(request, session, scope, owner_id)
    taken = {row.key for row in rows}
    shared = await queries.list_variables(session, "project", head.project.id)
    inherited = [variable for variable in shared if variable.key not in taken]
    shown = replace(shown, inherited=inherited, overriding=taken & {variable.key for variable in shared})
    return render(request, "services/variables.html", VariablesPage(*head, shown), status=status)


@writing("POST", "/variables")
async def set_variable(
    owner: Owner, request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Set one variable; an existing one of that name is replaced."""
    await queries.check_owner(session, scope, owner, lock=True)

    async def put(variable: NamedVariable) -> Redirect:
        await actions.set_variables(session, resources.secret_box, scope, owner, [variable])
        return _done(owner, f"{variable.key} is set")

    def draw(again: Filled[NamedVariable]) -> Awaitable[Response]:
        errors = {"value" if name == form.get("key") else name: told for name, told in again.errors.items()}
        return _draw(request, session, scope, owner, VariableForms(form=replace(again, errors=errors)))

    shown = {name: value for name, value in form.items() if name != "value" or form.get("is_secret") != "true"}
    return await submit(request, session, fill(NamedVariable, variable_data(form), shown), put, draw)


@writing("POST", "/variables/import")
async def import_variables(
    owner: Owner, request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Import all of a pasted `.env` file, or nothing if a line is wrong. Variables that it does not name stay."""
    data, problems = dotenv_data(form)
    await queries.check_owner(session, scope, owner, lock=True)

    async def put(changes: VariableChanges) -> Redirect:
        given = changes.variables
        await actions.import_variables(session, resources.secret_box, scope, owner, given)
        return _done(owner, f"{counted(len(given), 'variable')} set")

    has_secret = form.get("import_is_secret") == "true" or _has_secret(data)
    shown = {name: value for name, value in form.items() if name != "text" or not has_secret}
    filled: Filled[VariableChanges] = Filled(shown, problems) if problems else fill(VariableChanges, data, shown)
    return await submit(
        request,
        session,
        filled,
        put,
        lambda again: _draw(request, session, scope, owner, VariableForms(imported=again)),
    )


def _has_secret(data: Mapping[str, Any]) -> bool:
    """Whether a text has a secret, so that no page repeats it."""
    return any(given["is_secret"] for given in data.get("variables", ()))


@writing("POST", "/variables/raw")
async def save_raw_variables(
    owner: Owner, request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Set all variables to the lines of a text, or nothing if a line is wrong. Secrets that it does not name stay."""
    await queries.check_owner(session, scope, owner, lock=True)
    rows = await queries.list_variables(session, *owner)

    async def put(changes: VariableChanges) -> Redirect:
        if form.get("revision") != revision_of(rows):
            raise Conflict("the variables were changed meanwhile", hint="Open the text again, and repeat your change.")
        await actions.change_variables(session, resources.secret_box, scope, owner, changes)
        return _done(owner, "The variables are saved")

    data, problems = raw_data(form, rows)
    shown = {**form, "text": write_raw(rows)} if _has_secret(data) else form
    filled: Filled[VariableChanges] = Filled(shown, problems) if problems else fill(VariableChanges, data, shown)

    def draw(again: Filled[VariableChanges]) -> Awaitable[Response]:
        return _draw(request, session, scope, owner, VariableForms(raw=again))

    return await submit(request, session, filled, put, draw)


@dataclass(frozen=True, slots=True)
class RawDiff:
    """What saving a text would change."""

    changes: Sequence[ConfigChange]
    problems: Sequence[str]


@door("POST", "/variables/raw/compare", permission="variable.write")
async def compare_raw_variables(
    owner: Owner, request: Request, session: ReadSession, scope: CurrentScope, form: Form
) -> Response:
    """Show what saving a text would change, without the values of secrets."""
    await queries.check_owner(session, scope, owner)
    rows = await queries.list_variables(session, *owner)
    data, problems = raw_data(form, rows)
    shown = RawDiff([] if problems else compare_raw(data, rows), list(problems.values()))
    return render(request, "services/_raw_diff.html", shown)


@writing("POST", "/variables/{key}/delete")
async def delete_variable(
    owner: Owner, key: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Delete one variable; running containers keep it until the next deployment."""
    await queries.check_owner(session, scope, owner, lock=True)
    await actions.remove_variables(session, scope, owner, [key])
    done = _done(owner, f"{key} is removed")
    return see_other(request, done.path, said=done.said, hint=done.hint)


def _done(owner: Owner, said: str) -> Redirect:
    kind, owner_id = owner
    hint = "Each service of the project takes it with its next deployment." if kind == "project" else ""
    return Redirect(f"/{kind}s/{owner_id}/variables", said, hint)


@door("POST", "/variables/{key}/reveal", permission="variable.reveal", rate="reveal", audit="VariableRevealed")
async def reveal_variable(
    owner: Owner, key: str, request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Show one secret value, and record who read it."""
    await queries.check_owner(session, scope, owner)
    value = await actions.reveal_variable(session, resources.secret_box, scope, owner, key)
    return await _draw(request, session, scope, owner, VariableForms(revealed={key: value}))
