"""The page that lists and creates credentials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession, WriteSession
from orca.features.credentials import actions, queries
from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.features.credentials.schemas import GitCredentialFields, RegistryCredentialFields
from orca.features.credentials.usage import Usage, read_usage
from orca.kit.pagination import PageRequest
from orca.web.answers import Redirect, submit
from orca.web.forms import Filled, Form, fill
from orca.web.guard import CurrentResources, CurrentScope, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)
SHOWN = 200
REGISTRY = "registry_"
"""Prefix of the field names of the second form: ids must be unique on a page."""


@dataclass(frozen=True, slots=True)
class CredentialsPage:
    """All credentials, the services that use them, and the forms to create one."""

    git: Sequence[GitCredential]
    registries: Sequence[RegistryCredential]
    has_more: bool
    usage: Usage
    git_form: Filled[GitCredentialFields] = field(default_factory=Filled)
    registry_form: Filled[RegistryCredentialFields] = field(default_factory=Filled)


async def _draw(
    request: Request,
    session: AsyncSession,
    scope: CurrentScope,
    git_form: Filled[GitCredentialFields] | None = None,
    registry_form: Filled[RegistryCredentialFields] | None = None,
) -> Response:
    git = await queries.list_credentials(session, scope, GitCredential, PageRequest(limit=SHOWN))
    registries = await queries.list_credentials(session, scope, RegistryCredential, PageRequest(limit=SHOWN))
    ids = [row.id for row in git.items] + [row.id for row in registries.items]
    usage = await read_usage(session, scope, ids)
    has_more = git.next_cursor is not None or registries.next_cursor is not None
    page = CredentialsPage(
        git.items, registries.items, has_more, usage, git_form or Filled(), registry_form or Filled()
    )
    return render(
        request, "credentials/credentials.html", page, status=max(page.git_form.status, page.registry_form.status)
    )


@router.get("/credentials")
@guard("credential.read", page=True)
async def show_credentials(
    request: Request, session: ReadSession, scope: CurrentScope, kind: str = "ssh", host: str = ""
) -> Response:
    """List deploy keys, tokens and registry logins without secrets. `kind` and `host` prefill the form for Git."""
    offered = {"kind": kind if kind in {"ssh", "token"} else "ssh", "host": host}
    return await _draw(request, session, scope, Filled(offered))


@router.post("/credentials/git")
@guard("credential.create", rate="write", audit="GitCredentialCreated", page=True)
async def make_git_credential(
    request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Create a deploy key, whose page then shows the public key for the Git host, or a token."""

    async def make(fields: GitCredentialFields) -> Redirect:
        row = await actions.create_git_credential(session, resources.secret_box, scope, fields)
        said = f"Deploy key {row.name} made" if row.kind == "ssh" else f"Token {row.name} stored"
        return Redirect(f"/credentials/git/{row.id}", said)

    filled = fill(GitCredentialFields, git_data(form), form)
    return await submit(request, session, filled, make, partial(_draw, request, session, scope))


def git_data(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the form as the API's JSON, with only the fields of the chosen kind."""
    kind = form.get("kind", "ssh")
    data: dict[str, Any] = {"name": form.get("name", ""), "kind": kind, "host": form.get("host", "")}
    if kind == "ssh":
        return data | {"known_hosts": form.get("known_hosts", "")}
    return data | {"token": form.get("token", ""), "username": form.get("username") or None}


@router.post("/credentials/registries")
@guard("credential.create", rate="write", audit="RegistryCredentialCreated", page=True)
async def make_registry_credential(
    request: Request, session: WriteSession, scope: CurrentScope, resources: CurrentResources, form: Form
) -> Response:
    """Create a registry login; without a name it is named after its registry."""
    typed = {name.removeprefix(REGISTRY): value for name, value in form.items() if name.startswith(REGISTRY)}
    names = ("name", "host", "username", "password")
    data = {name: typed.get(name, "") for name in names} | {"name": typed.get("name") or typed.get("host", "")}

    async def make(fields: RegistryCredentialFields) -> Redirect:
        row = await actions.create_registry_credential(session, resources.secret_box, scope, fields)
        return Redirect("/credentials", f"Login for {row.host} stored")

    async def draw(again: Filled[RegistryCredentialFields]) -> Response:
        renamed = {REGISTRY + name if name else "": text for name, text in again.errors.items()}
        return await _draw(request, session, scope, registry_form=Filled(form, renamed))

    return await submit(request, session, fill(RegistryCredentialFields, data, form), make, draw)
