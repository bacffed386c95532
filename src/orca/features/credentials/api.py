"""REST doors of Git and registry credentials."""

from typing import Annotated

from fastapi import Query

from orca.db import ReadSession, WriteSession
from orca.features.credentials import actions, queries
from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.features.credentials.schemas import (
    GitCredentialChanges,
    GitCredentialFields,
    GitCredentialFilter,
    GitCredentialOut,
    RegistryCredentialChanges,
    RegistryCredentialFields,
    RegistryCredentialFilter,
    RegistryCredentialOut,
)
from orca.kit.pagination import Page
from orca.web.guard import CurrentResources, CurrentScope, Router, guard

router = Router(prefix="/api/v1", tags=["credentials"])


@router.post("/git-credentials", status_code=201, response_model=GitCredentialOut, summary="Add a Git credential")
@guard("credential.create", rate="write", audit="GitCredentialCreated")
async def create_git_credential(
    body: GitCredentialFields, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> GitCredential:
    """Store a token, or generate a deploy key: register the `public_key` of the response at the Git host.

    It is used at `host` only: services whose repository is at another host cannot use it.
    """
    return await actions.create_git_credential(session, resources.secret_box, scope, body)


@router.get("/git-credentials", response_model=Page[GitCredentialOut], summary="List Git credentials")
@guard("credential.read")
async def list_git_credentials(
    session: ReadSession, scope: CurrentScope, wanted: Annotated[GitCredentialFilter, Query()]
) -> Page[GitCredential]:
    """List Git credentials, newest first; their secret half is never returned."""
    return await queries.list_credentials(session, scope, GitCredential, wanted)


@router.get("/git-credentials/{git_credential_id}", response_model=GitCredentialOut, summary="Read a Git credential")
@guard("credential.read", tenant="git_credential_id")
async def get_git_credential(git_credential_id: str, session: ReadSession, scope: CurrentScope) -> GitCredential:
    """Return a Git credential, without its secret half."""
    return await queries.get_credential(session, scope, GitCredential, git_credential_id)


@router.patch(
    "/git-credentials/{git_credential_id}", response_model=GitCredentialOut, summary="Change a Git credential"
)
@guard("credential.update", tenant="git_credential_id", rate="write", audit="GitCredentialUpdated")
async def update_git_credential(
    git_credential_id: str,
    body: GitCredentialChanges,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> GitCredential:
    """Rename it, confirm host keys, replace its token, or move it to another host: a token only if sent again."""
    return await actions.update_git_credential(session, resources.secret_box, scope, git_credential_id, body)


@router.delete("/git-credentials/{git_credential_id}", status_code=204, summary="Delete a Git credential")
@guard("credential.delete", tenant="git_credential_id", rate="write", audit="GitCredentialDeleted")
async def delete_git_credential(git_credential_id: str, session: WriteSession, scope: CurrentScope) -> None:
    """Refused while a service uses it."""
    await actions.delete_git_credential(session, scope, git_credential_id)


@router.post(
    "/registry-credentials", status_code=201, response_model=RegistryCredentialOut, summary="Add a registry login"
)
@guard("credential.create", rate="write", audit="RegistryCredentialCreated")
async def create_registry_credential(
    body: RegistryCredentialFields, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> RegistryCredential:
    """Store the login for one registry host."""
    return await actions.create_registry_credential(session, resources.secret_box, scope, body)


@router.get("/registry-credentials", response_model=Page[RegistryCredentialOut], summary="List registry logins")
@guard("credential.read")
async def list_registry_credentials(
    session: ReadSession, scope: CurrentScope, wanted: Annotated[RegistryCredentialFilter, Query()]
) -> Page[RegistryCredential]:
    """List registry logins, newest first; their passwords are never returned."""
    return await queries.list_credentials(session, scope, RegistryCredential, wanted)


@router.get(
    "/registry-credentials/{registry_credential_id}",
    response_model=RegistryCredentialOut,
    summary="Read a registry login",
)
@guard("credential.read", tenant="registry_credential_id")
async def get_registry_credential(
    registry_credential_id: str, session: ReadSession, scope: CurrentScope
) -> RegistryCredential:
    """Return a registry login, without its password."""
    return await queries.get_credential(session, scope, RegistryCredential, registry_credential_id)


@router.patch(
    "/registry-credentials/{registry_credential_id}",
    response_model=RegistryCredentialOut,
    summary="Change a registry login",
)
@guard("credential.update", tenant="registry_credential_id", rate="write", audit="RegistryCredentialUpdated")
async def update_registry_credential(
    registry_credential_id: str,
    body: RegistryCredentialChanges,
    session: WriteSession,
    scope: CurrentScope,
    resources: CurrentResources,
) -> RegistryCredential:
    """Rename it, or replace user name and password."""
    return await actions.update_registry_credential(session, resources.secret_box, scope, registry_credential_id, body)


@router.delete("/registry-credentials/{registry_credential_id}", status_code=204, summary="Delete a registry login")
@guard("credential.delete", tenant="registry_credential_id", rate="write", audit="RegistryCredentialDeleted")
async def delete_registry_credential(registry_credential_id: str, session: WriteSession, scope: CurrentScope) -> None:
    """Refused while a service uses it."""
    await actions.delete_registry_credential(session, scope, registry_credential_id)
