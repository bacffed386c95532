"""Logins for image registries."""

from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import Fact, record
from orca.features import check_deletable
from orca.features.credentials.actions.names import check_registry_name
from orca.features.credentials.models import RegistryCredential
from orca.features.credentials.queries import PASSWORD, REGISTRY_CREDENTIAL, get_credential
from orca.features.credentials.schemas import RegistryCredentialChanges, RegistryCredentialFields
from orca.features.secrets.actions import delete_secrets, put_secret
from orca.kit.crypto import SecretBox
from orca.web.guard import Scope


async def create_registry_credential(
    session: AsyncSession, box: SecretBox, scope: Scope, fields: RegistryCredentialFields
) -> RegistryCredential:
    """Store a login; it is first tried when an image is pulled. Raises Conflict for a name in use."""
    row = RegistryCredential(team_id=scope.team_id, name=fields.name, host=fields.host, username=fields.username)
    await check_registry_name(session, row, row.name)
    session.add(row)
    await session.flush()
    await _put_password(session, box, row, fields.password.get_secret_value())
    await _record(session, "RegistryCredentialCreated", row)
    return row


async def update_registry_credential(
    session: AsyncSession, box: SecretBox, scope: Scope, credential_id: str, changes: RegistryCredentialChanges
) -> RegistryCredential:
    """Change name, user name or password; the host stays, so that a password is never sent to another host."""
    row = await get_credential(session, scope, RegistryCredential, credential_id)
    if changes.name is not None and changes.name != row.name:
        await check_registry_name(session, row, changes.name)
    row.name, row.username = changes.name or row.name, changes.username or row.username
    if changes.password is not None:
        await _put_password(session, box, row, changes.password.get_secret_value())
    await _record(session, "RegistryCredentialUpdated", row)
    return row


async def delete_registry_credential(session: AsyncSession, scope: Scope, credential_id: str) -> None:
    """Delete a login. Raises Conflict while a service uses it."""
    row = await get_credential(session, scope, RegistryCredential, credential_id)
    await check_deletable(session, REGISTRY_CREDENTIAL, row.id)
    await _record(session, "RegistryCredentialDeleted", row)
    await delete_secrets(session, (REGISTRY_CREDENTIAL, row.id))
    await session.delete(row)


async def _put_password(session: AsyncSession, box: SecretBox, row: RegistryCredential, password: str) -> None:
    owner = (REGISTRY_CREDENTIAL, row.id)
    await put_secret(session, box, team_id=row.team_id, owner=owner, name=PASSWORD, value=password)


async def _record(session: AsyncSession, fact_type: str, row: RegistryCredential) -> None:
    payload = {"name": row.name, "host": row.host}
    await record(session, Fact(fact_type, row.team_id, REGISTRY_CREDENTIAL, row.id, payload))
