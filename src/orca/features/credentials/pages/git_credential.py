"""The page of one deploy key or token: its public half, its host, and the services that use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.errors import OrcaError
from orca.features.credentials import actions, queries
from orca.features.credentials.models import GitCredential
from orca.features.credentials.schemas import GitCredentialChanges
from orca.features.credentials.usage import CredentialUser, read_usage
from orca.web.answers import Done, attempt, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class GitCredentialPage:
    """A credential without its secret half."""

    credential: GitCredential
    users: Sequence[CredentialUser]
    form: Filled[GitCredentialChanges] = field(default_factory=Filled)
    refusal: OrcaError | None = None
    """Why it was not deleted."""


async def _draw(
    request: Request,
    session: AsyncSession,
    scope: CurrentScope,
    credential_id: str,
    form: Filled[GitCredentialChanges] | None = None,
    refusal: OrcaError | None = None,
) -> Response:
    row = await queries.get_git_credential(session, scope, credential_id)
    users = (await read_usage(session, scope, [row.id])).get(row.id, [])
    page = GitCredentialPage(row, users, form or Filled(), refusal)
    return render(
        request, "credentials/git_credential.html", page, status=refusal.status if refusal else page.form.status
    )


@router.get("/credentials/git/{git_credential_id}")
@guard("source.read", tenant="git_credential_id", page=True)
async def show_git_credential(
    git_credential_id: str, request: Request, session: ReadSession, scope: CurrentScope
) -> Response:
    """Show a Git credential; of a deploy key also the public half, which is no secret."""
    return await _draw(request, session, scope, git_credential_id)


@router.post("/credentials/git/{git_credential_id}")
@guard("source.update", tenant="git_credential_id", rate="write", audit="GitCredentialUpdated", page=True)
async def change_git_credential(
    git_credential_id: str,
    request: Request,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
    form: Form,
) -> Response:
    """Change name, host, trusted host keys or token."""
    row = await queries.get_git_credential(session, scope, git_credential_id)

    async def save(changes: GitCredentialChanges) -> Done:
        await actions.update_git_credential(session, resources.secret_box, scope, git_credential_id, changes)
        return Done(f"/credentials/git/{git_credential_id}", "Saved")

    filled = fill(GitCredentialChanges, changes_data(row.kind, form), form)
    return await submit(request, session, filled, save, partial(_draw, request, session, scope, git_credential_id))


def changes_data(kind: str, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the form as the API's JSON. An empty token keeps the stored one."""
    data: dict[str, Any] = {"name": form.get("name", ""), "host": form.get("host", "")}
    if kind == "ssh":
        return data | {"known_hosts": form.get("known_hosts", "")}
    return data | {name: form[name] for name in ("token", "username") if form.get(name)}


@router.post("/credentials/git/{git_credential_id}/delete")
@guard("source.delete", tenant="git_credential_id", rate="write", audit="GitCredentialDeleted", page=True)
async def remove_git_credential(
    git_credential_id: str, request: Request, session: WriteSession, scope: CurrentScope
) -> Response:
    """Delete the credential; refused while services use it, which the page then lists."""
    deletion = actions.delete_git_credential(session, scope, git_credential_id)
    draw = partial(_draw, request, session, scope, git_credential_id)
    return await attempt(request, session, deletion, Done("/credentials", "The credential is deleted"), draw)
