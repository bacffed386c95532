"""REST doors of variables: each exists twice, for projects and for services."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import Path

from orca.db import ReadSession, WriteSession
from orca.features.services import actions
from orca.features.services.actions.variables import Owner
from orca.features.services.models import Variable
from orca.features.services.owners import Door, put_door
from orca.features.services.queries import check_owner, list_variables
from orca.features.services.schemas.variables import (
    NamedVariable,
    Revealed,
    VariableChanges,
    VariableFields,
    VariableKey,
    VariableOut,
    Variables,
)
from orca.web.guard import CurrentResources, CurrentScope, Router

router = Router(prefix="/api/v1", tags=["variables"])
Key = Annotated[VariableKey, Path(max_length=128)]


def door(method: str, path: str, summary: str, **declared: Any) -> Callable[[Door], Door]:
    """Register an endpoint for the variables of both kinds of owner."""
    return put_door(router, method, f"/variables{path}", summary=summary, **declared)


writing = partial(door, permission="variable.write", rate="write", audit="VariablesChanged")


@door("GET", "", "List a {}'s variables", permission="variable.read", response_model=list[VariableOut])
async def list_all_variables(owner: Owner, session: ReadSession, scope: CurrentScope) -> Sequence[Variable]:
    """List the owner's variables; for a service also those of its project that it does not override.

    Secret values are null.
    """
    await check_owner(session, scope, owner)
    return await list_variables(session, *owner)


@writing("PUT", "", "Replace a {}'s variables", response_model=list[VariableOut])
async def replace_variables(
    owner: Owner, body: Variables, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Sequence[Variable]:
    """Replace all variables: those not listed are deleted; one listed without a value keeps the stored value."""
    await check_owner(session, scope, owner, lock=True)
    return await actions.replace_variables(session, resources.secret_box, scope, owner, body.variables)


@writing("PATCH", "", "Change some of a {}'s variables", response_model=list[VariableOut])
async def change_variables(
    owner: Owner, body: VariableChanges, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Sequence[Variable]:
    """Set and remove some variables; all others stay."""
    await check_owner(session, scope, owner, lock=True)
    return await actions.change_variables(session, resources.secret_box, scope, owner, body)


@writing("PUT", "/{key}", "Set a {} variable", response_model=VariableOut)
async def set_variable(
    owner: Owner,
    key: Key,
    body: VariableFields,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> Variable:
    """Set one variable. It takes effect with the next deployment."""
    await check_owner(session, scope, owner, lock=True)
    given = [NamedVariable(key=key, **body.model_dump())]
    return (await actions.set_variables(session, resources.secret_box, scope, owner, given))[0]


@writing("DELETE", "/{key}", "Remove a {} variable", status_code=204)
async def remove_variable(owner: Owner, key: Key, session: WriteSession, scope: CurrentScope) -> None:
    """Remove one variable; a missing one is no error."""
    await check_owner(session, scope, owner, lock=True)
    await actions.remove_variables(session, scope, owner, [key])


@door(
    "POST", "/{key}/reveal", "Reveal a {} variable",
    permission="variable.reveal", rate="reveal", audit="VariableRevealed",
)  # fmt: skip
async def reveal_variable(
    owner: Owner, key: Key, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> Revealed:
    """Return the value, also of a secret variable. The access is recorded."""
    await check_owner(session, scope, owner)
    value = await actions.reveal_variable(session, resources.secret_box, scope, owner, key)
    return Revealed(key=key, value=value)
