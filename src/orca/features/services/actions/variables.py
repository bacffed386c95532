"""Sets, removes and reveals the variables of projects and services."""

from collections.abc import Collection, Sequence

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import BadInput
from orca.events import Fact, record
from orca.features.secrets.actions import delete_secrets, put_secret
from orca.features.secrets.queries import open_secret
from orca.features.services.models import Variable
from orca.features.services.queries import get_variable, list_variables
from orca.features.services.rules import MAX_VARIABLES, VALUE, VARIABLE, OwnerType
from orca.features.services.schemas.variables import NamedVariable, VariableChanges
from orca.kit.crypto import SecretBox
from orca.resources import Resources
from orca.web.guard import Scope

Owner = tuple[OwnerType, str]
"""The owner of variables: a project or a service that the caller looked up in its scope."""


async def set_variables(
    session: AsyncSession, box: SecretBox, scope: Scope, owner: Owner, given: Sequence[NamedVariable]
) -> list[Variable]:
    """Set these variables and keep the others; returns the rows set. One without a value keeps the stored value."""
    _check_keys_differ(given)
    stored = {present.key: present for present in await list_variables(session, *owner)}
    if len({*stored, *(variable.key for variable in given)}) > MAX_VARIABLES:
        raise BadInput(f"there can be at most {MAX_VARIABLES} variables", hint="Keep configuration files in a volume.")
    rows = [await _set(session, box, scope, owner, variable, stored.get(variable.key)) for variable in given]
    if given:
        await _record(session, scope, owner, changed=[variable.key for variable in given])
    return rows


async def import_variables(
    session: AsyncSession, box: SecretBox, scope: Scope, owner: Owner, given: Sequence[NamedVariable]
) -> list[Variable]:
    """Set the variables of a file. It has no flags, so existing variables stay secret or available to the build."""
    stored = {present.key: present for present in await list_variables(session, *owner)}
    kept = [
        variable.model_copy(update={
            "is_secret": variable.is_secret or stored[variable.key].is_secret,
            "is_build_time": variable.is_build_time or stored[variable.key].is_build_time,
        })
        if variable.key in stored
        else variable
        for variable in given
    ]  # fmt: skip
    return await set_variables(session, box, scope, owner, kept)


async def replace_variables(
    session: AsyncSession, box: SecretBox, scope: Scope, owner: Owner, given: Sequence[NamedVariable]
) -> Sequence[Variable]:
    """Set these variables and remove all others."""
    kept = {variable.key for variable in given}
    gone = [present.key for present in await list_variables(session, *owner) if present.key not in kept]
    await remove_variables(session, scope, owner, gone)
    await set_variables(session, box, scope, owner, given)
    return await list_variables(session, *owner)


async def change_variables(
    session: AsyncSession, box: SecretBox, scope: Scope, owner: Owner, changes: VariableChanges
) -> Sequence[Variable]:
    """Remove some variables, set some, keep the others; returns all variables then."""
    both = sorted(set(changes.removed) & {variable.key for variable in changes.variables})
    if both:
        raise BadInput(f"{both[0]} is both set and removed", fields={both[0]: "is both set and removed"})
    await remove_variables(session, scope, owner, changes.removed)
    await set_variables(session, box, scope, owner, changes.variables)
    return await list_variables(session, *owner)


async def remove_variables(session: AsyncSession, scope: Scope, owner: Owner, keys: Collection[str]) -> None:
    """Remove variables; a missing key is no error."""
    removed = [present for present in await list_variables(session, *owner) if present.key in keys]
    for variable in removed:
        await delete_secrets(session, (VARIABLE, variable.id))
        await session.delete(variable)
    await session.flush()
    if removed:
        await _record(session, scope, owner, removed=[stored.key for stored in removed])


async def delete_variables(session: AsyncSession, owner: Owner) -> None:
    """Delete all variables of an owner that is being deleted, secret values first."""
    variables = await list_variables(session, *owner)
    for variable in variables:
        if variable.is_secret:
            await delete_secrets(session, (VARIABLE, variable.id))
    await session.execute(delete(Variable).where(Variable.id.in_([stored.id for stored in variables])))


async def forget_project_variables(session: AsyncSession, _resources: Resources, fact: Fact) -> None:
    """Delete the variables of a deleted project."""
    await delete_variables(session, ("project", str(fact.object_id)))


async def reveal_variable(session: AsyncSession, box: SecretBox, scope: Scope, owner: Owner, key: str) -> str:
    """Return the value of a variable, secret or not, and record that it was read."""
    owner_type, owner_id = owner
    variable = await get_variable(session, owner_type, owner_id, key)
    if variable.is_secret:
        value = await open_secret(session, box, (VARIABLE, variable.id), VALUE)
    else:
        value = variable.value
    await record(session, Fact("VariableRevealed", scope.team_id, owner_type, owner_id, {"key": key}))
    return value or ""


async def _set(
    session: AsyncSession,
    box: SecretBox,
    scope: Scope,
    owner: Owner,
    given: NamedVariable,
    row: Variable | None,
) -> Variable:
    owner_type, owner_id = owner
    value = given.value
    if value is None and (row is None or (row.is_secret and not given.is_secret)):
        raise BadInput(f"{given.key} needs a value", fields={given.key: "give a value"})
    if value is None and row is not None and not row.is_secret:
        value = row.value
    if row is None:
        row = Variable(team_id=scope.team_id, key=given.key)
        row.project_id, row.service_id = (owner_id, None) if owner_type == "project" else (None, owner_id)
        session.add(row)
    row.value = None if given.is_secret else value
    row.is_secret, row.is_build_time, row.updated_at = given.is_secret, given.is_build_time, now()
    row.revision = (row.revision or 0) + 1
    await session.flush()
    if not given.is_secret:
        await delete_secrets(session, (VARIABLE, row.id))
    elif value is not None:
        await put_secret(session, box, team_id=scope.team_id, owner=(VARIABLE, row.id), name=VALUE, value=value)
    return row


def _check_keys_differ(given: Sequence[NamedVariable]) -> None:
    seen: set[str] = set()
    for variable in given:
        if variable.key in seen:
            raise BadInput(f"{variable.key} is given twice", fields={variable.key: "is given twice"})
        seen.add(variable.key)


async def _record(
    session: AsyncSession, scope: Scope, owner: Owner, *, changed: Sequence[str] = (), removed: Sequence[str] = ()
) -> None:
    """Record the change with the names of the variables only, never with their values."""
    payload = {"set": sorted(changed), "removed": sorted(removed)}
    await record(session, Fact("VariablesChanged", scope.team_id, *owner, payload))
