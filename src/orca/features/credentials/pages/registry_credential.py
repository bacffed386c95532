"""The page of one registry login."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import OrcaError
from orca.features.credentials import actions, queries
from orca.features.credentials.models import RegistryCredential
from orca.features.credentials.schemas import RegistryCredentialChanges
from orca.features.credentials.usage import CredentialUser, read_usage
from orca.web.answers import Done, attempt, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class RegistryCredentialPage:
    """A login without its password."""

    credential: RegistryCredential
    users: Sequence[CredentialUser]
    form: Filled[RegistryCredentialChanges] = field(default_factory=Filled)
    refusal: OrcaError | None = None
    """Why it was not deleted."""


async def _draw(
    request: Request,
    session: AsyncSession,
    scope: CurrentScope,
    credential_id: str,
    form: Filled[RegistryCredentialChanges] | None = None,
    refusal: OrcaError | None = None,
) -> Response:
    row = await queries.get_registry_credential(session, scope, credential_id)
    users = (await read_usage(session, scope, [row.id])).get(row.id, [])
    page = RegistryCredentialPage(row, users, form or Filled(), refusal)
    status = refusal.status if refusal else page.form.status
    return render(request, "credentials/registry_credential.html", page, status=status)


@router.get("/credentials/registries/{registry_credential_id}")
@guard("source.read", tenant="registry_credential_id", page=True)
async def show_registry_credential(
    registry_credential_id: str, request: Request, session: ReadSession, scope: CurrentScope
) -> Response:
    """Show a registry login."""
    return await _draw(request, session, scope, registry_credential_id)


@router.post("/credentials/registries/{registry_credential_id}")
@guard("source.update", tenant="registry_credential_id", rate="write", audit="RegistryCredentialUpdated", page=True)
async def change_registry_credential(
    registry_credential_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Rename it, or replace user name and password; the registry stays."""
    data = {"name": form.get("name", ""), "username": form.get("username", "")}
    data |= {"password": form["password"]} if form.get("password") else {}

    async def save(changes: RegistryCredentialChanges) -> Done:
        await actions.update_registry_credential(session, resources.secret_box, scope, registry_credential_id, changes)
        return Done(f"/credentials/registries/{registry_credential_id}", "Saved")

    draw = partial(_draw, request, session, scope, registry_credential_id)
    return await submit(request, session, fill(RegistryCredentialChanges, data, form), save, draw)


@router.post("/credentials/registries/{registry_credential_id}/delete")
@guard("source.delete", tenant="registry_credential_id", rate="write", audit="RegistryCredentialDeleted", page=True)
async def remove_registry_credential(
    registry_credential_id: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Delete the login; refused while services use it, which the page then lists."""
    deletion = actions.delete_registry_credential(session, scope, registry_credential_id)
    draw = partial(_draw, request, session, scope, registry_credential_id)
    return await attempt(request, session, deletion, Done("/credentials", "The login is deleted"), draw)
