"""The page of one credential: of a deploy key its public half, where it is used, and the services that use it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import OrcaError
from orca.features.credentials import actions, queries
from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.features.credentials.schemas import GitCredentialChanges, RegistryCredentialChanges
from orca.features.credentials.usage import CredentialUser, read_usage
from orca.web.answers import Redirect, attempt, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class CredentialPage:
    """A credential without its secret half."""

    credential: GitCredential | RegistryCredential
    users: Sequence[CredentialUser]
    form: Filled[Any] = field(default_factory=Filled)
    refusal: OrcaError | None = None
    """Why it was not deleted."""


def _page_of(
    request: Request, session: AsyncSession, scope: CurrentScope, row: GitCredential | RegistryCredential
) -> Callable[..., Awaitable[Response]]:
    """Return what draws the page: with a form that was refused, or with the `refusal` of the deletion."""
    kind, row_id = ("git" if isinstance(row, GitCredential) else "registry"), row.id

    async def draw(form: Filled[Any] | None = None, refusal: OrcaError | None = None) -> Response:
        stored = await queries.get_credential(session, scope, type(row), row_id)  # what was refused is rolled back
        users = (await read_usage(session, scope, [row_id])).get(row_id, [])
        page = CredentialPage(stored, users, form or Filled(), refusal)
        status = refusal.status if refusal else page.form.status
        return render(request, f"credentials/{kind}_credential.html", page, status=status)

    return draw


@router.get("/credentials/git/{git_credential_id}")
@guard("credential.read", tenant="git_credential_id", page=True)
async def show_git_credential(
    git_credential_id: str, request: Request, session: ReadSession, scope: CurrentScope
) -> Response:
    """Show a Git credential; of a deploy key also the public half, which is no secret."""
    row = await queries.get_credential(session, scope, GitCredential, git_credential_id)
    return await _page_of(request, session, scope, row)()


@router.post("/credentials/git/{git_credential_id}")
@guard("credential.update", tenant="git_credential_id", rate="write", audit="GitCredentialUpdated", page=True)
async def change_git_credential(
    git_credential_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Change name, host, trusted host keys or token."""
    row = await queries.get_credential(session, scope, GitCredential, git_credential_id)

    async def save(changes: GitCredentialChanges) -> Redirect:
        await actions.update_git_credential(session, resources.secret_box, scope, git_credential_id, changes)
        return Redirect(f"/credentials/git/{git_credential_id}", "Saved")

    filled = fill(GitCredentialChanges, changes_data(row.kind, form), form)
    return await submit(request, session, filled, save, _page_of(request, session, scope, row))


def changes_data(kind: str, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the form as the API's JSON. An empty token keeps the stored one."""
    data: dict[str, Any] = {"name": form.get("name", ""), "host": form.get("host", "")}
    if kind == "ssh":
        return data | {"known_hosts": form.get("known_hosts", "")}
    return data | {name: form[name] for name in ("token", "username") if form.get(name)}


@router.post("/credentials/git/{git_credential_id}/delete")
@guard("credential.delete", tenant="git_credential_id", rate="write", audit="GitCredentialDeleted", page=True)
async def remove_git_credential(
    git_credential_id: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Delete the credential; refused while services use it, which the page then lists."""
    row = await queries.get_credential(session, scope, GitCredential, git_credential_id)
    deletion = actions.delete_git_credential(session, scope, git_credential_id)
    done = Redirect("/credentials", "The credential is deleted")
    return await attempt(request, session, deletion, done, _page_of(request, session, scope, row))


@router.get("/credentials/registries/{registry_credential_id}")
@guard("credential.read", tenant="registry_credential_id", page=True)
async def show_registry_credential(
    registry_credential_id: str, request: Request, session: ReadSession, scope: CurrentScope
) -> Response:
    """Show a registry login."""
    row = await queries.get_credential(session, scope, RegistryCredential, registry_credential_id)
    return await _page_of(request, session, scope, row)()


@router.post("/credentials/registries/{registry_credential_id}")
@guard("credential.update", tenant="registry_credential_id", rate="write", audit="RegistryCredentialUpdated", page=True)
async def change_registry_credential(
    registry_credential_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Rename it, or replace user name and password; the registry stays."""
    row = await queries.get_credential(session, scope, RegistryCredential, registry_credential_id)
    data = {"name": form.get("name", ""), "username": form.get("username", "")}
    data |= {"password": form["password"]} if form.get("password") else {}

    async def save(changes: RegistryCredentialChanges) -> Redirect:
        await actions.update_registry_credential(session, resources.secret_box, scope, registry_credential_id, changes)
        return Redirect(f"/credentials/registries/{registry_credential_id}", "Saved")

    filled = fill(RegistryCredentialChanges, data, form)
    return await submit(request, session, filled, save, _page_of(request, session, scope, row))


@router.post("/credentials/registries/{registry_credential_id}/delete")
@guard("credential.delete", tenant="registry_credential_id", rate="write", audit="RegistryCredentialDeleted", page=True)
async def remove_registry_credential(
    registry_credential_id: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Delete the login; refused while services use it, which the page then lists."""
    row = await queries.get_credential(session, scope, RegistryCredential, registry_credential_id)
    deletion = actions.delete_registry_credential(session, scope, registry_credential_id)
    done = Redirect("/credentials", "The login is deleted")
    return await attempt(request, session, deletion, done, _page_of(request, session, scope, row))
