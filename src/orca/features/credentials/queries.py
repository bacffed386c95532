"""Reads of credentials, and their decryption for fetching."""

from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db.pages import read_page
from orca.errors import NotFound
from orca.features.credentials.errors import GitCredentialElsewhere, RegistryCredentialElsewhere
from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.features.credentials.rules import is_login_for
from orca.features.secrets.queries import open_secret
from orca.kit.crypto import SecretBox
from orca.kit.pagination import Page, PageRequest
from orca.kit.text import join
from orca.sdk.containers import RegistryLogin
from orca.web.guard import Scope
from orca.web.rights import ObjectScope, find_scope

GIT_CREDENTIAL, REGISTRY_CREDENTIAL = "git_credential", "registry_credential"
PRIVATE, PASSWORD = "private", "password"
_FIRST_PAGE = PageRequest()
Credential = TypeVar("Credential", bound=GitCredential | RegistryCredential)
_DEFAULT_USERNAME = "x-access-token"


@dataclass(frozen=True, slots=True)
class GitLogin:
    """The login of a checkout; its fields are named like those of `GitCheckout`."""

    username: str = _DEFAULT_USERNAME
    token: str | None = field(default=None, repr=False)
    """For https."""
    deploy_key: str | None = field(default=None, repr=False)
    """For ssh: a private key in OpenSSH format."""
    known_hosts: str = ""


async def open_git_credential(
    session: AsyncSession, box: SecretBox, scope: Scope, credential_id: str | None, authority: str
) -> GitLogin:
    """Return a credential with its secret half, to fetch from a host (and port); without an id, an empty login.

    Raises NotFound, GitCredentialElsewhere, SecretUnreadable.
    """
    if credential_id is None:
        return GitLogin()
    row = await get_credential(session, scope, GitCredential, credential_id)
    check_credential_host(row, authority)
    private = await open_secret(session, box, (GIT_CREDENTIAL, row.id), PRIVATE)
    if row.kind == "ssh":
        return GitLogin(deploy_key=private, known_hosts=row.known_hosts)
    return GitLogin(username=row.username or _DEFAULT_USERNAME, token=private)


def check_credential_host(row: GitCredential, authority: str) -> None:
    """Raise GitCredentialElsewhere unless the credential is made for this host (and port)."""
    if row.host == authority:
        return
    if row.host:
        reason = f"is for {row.host}, not for {authority}"
        hint = f"Choose a credential for {authority}, or none if the repository is public."
    else:
        reason = "has no host yet, so it is used nowhere"
        hint = "A user who may change credentials sets the host it belongs to: `orc credentials set-host NAME HOST`."
    fields = {"source.credential_id": join(reason, hint)}
    raise GitCredentialElsewhere(f"The credential “{row.name}” {reason}.", hint=hint, fields=fields)


def check_login_registry(row: RegistryCredential, registry: str) -> None:
    """Raise RegistryCredentialElsewhere unless the login is for this registry."""
    if is_login_for(row.host, registry):
        return
    reason = f"is for {row.host}, not for {registry}"
    hint = f"Choose a login for {registry}, or none if the image is public."
    fields = {"source.credential_id": join(reason, hint)}
    raise RegistryCredentialElsewhere(f"The login “{row.name}” {reason}.", hint=hint, fields=fields)


async def open_registry_login(
    session: AsyncSession, box: SecretBox, scope: Scope, credential_id: str | None
) -> RegistryLogin | None:
    """The login for a registry; None without an id. Raises NotFound, SecretUnreadable."""
    if credential_id is None:
        return None
    return await _open_login(session, box, await get_credential(session, scope, RegistryCredential, credential_id))


async def open_registry_logins(session: AsyncSession, box: SecretBox, scope: Scope) -> tuple[RegistryLogin, ...]:
    """Return all of the team's logins, newest first, for builds with private base images. Raises SecretUnreadable."""
    query = select(RegistryCredential).where(RegistryCredential.team_id == scope.team_id)
    rows = await session.scalars(query.order_by(RegistryCredential.id.desc()))
    return tuple([await _open_login(session, box, row) for row in rows])


async def list_guarded_registries(session: AsyncSession) -> frozenset[str]:
    """Return the registries that any team has a login for: images from there must not be shown to other teams.

    For tasks, since it reads all teams.
    """
    return frozenset(await session.scalars(select(RegistryCredential.host).distinct()))


async def _open_login(session: AsyncSession, box: SecretBox, row: RegistryCredential) -> RegistryLogin:
    password = await open_secret(session, box, (REGISTRY_CREDENTIAL, row.id), PASSWORD)
    return RegistryLogin(row.host, row.username, password or "")


async def find_credential(
    session: AsyncSession, scope: Scope, table: type[Credential], credential_id: str
) -> Credential | None:
    """Return a credential of the team, or None."""
    return await session.scalar(select(table).where(table.id == credential_id, table.team_id == scope.team_id))


async def get_credential(
    session: AsyncSession, scope: Scope, table: type[Credential], credential_id: str
) -> Credential:
    """Return a credential of the team. Raises NotFound."""
    row = await find_credential(session, scope, table, credential_id)
    if row is None:
        raise NotFound(f"there is no {'Git' if table is GitCredential else 'registry'} credential with this id")
    return row


async def list_credentials(
    session: AsyncSession, scope: Scope, table: type[Credential], wanted: PageRequest = _FIRST_PAGE
) -> Page[Credential]:
    """List the team's credentials of one kind, newest first."""
    return await read_page(session, select(table).where(table.team_id == scope.team_id), table, wanted)


async def find_credential_scope(
    table: type[Credential], session: AsyncSession, credential_id: str
) -> ObjectScope | None:
    """Return where a credential belongs: to a team."""
    return await find_scope(session, select(table.team_id).where(table.id == credential_id))
