"""Git credentials: deploy keys that Orca generates, and tokens that users enter."""

from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import BadInput
from orca.events import Fact, record
from orca.features import check_deletable
from orca.features.credentials.actions.names import check_git_name
from orca.features.credentials.models import GitCredential
from orca.features.credentials.queries import GIT_CREDENTIAL, PRIVATE, get_credential
from orca.features.credentials.rules import parse_git_host
from orca.features.credentials.schemas import GitCredentialChanges, GitCredentialFields
from orca.features.secrets.actions import delete_secrets, put_secret
from orca.kit.crypto import SecretBox
from orca.kit.ids import slugify
from orca.web.guard import Scope


async def create_git_credential(
    session: AsyncSession, box: SecretBox, scope: Scope, fields: GitCredentialFields
) -> GitCredential:
    """Store a token, or generate an Ed25519 key whose public half is in the row. Raises Conflict for a name in use."""
    row = GitCredential(
        team_id=scope.team_id, name=fields.name, kind=fields.kind, host=fields.host,
        username=fields.username or "", known_hosts=fields.known_hosts,
    )  # fmt: skip
    await check_git_name(session, row, row.name)
    if fields.token is not None:
        private = fields.token.get_secret_value()
    else:
        private, row.public_key = _make_key(f"orca-{slugify(fields.name) or 'deploy'}")
    session.add(row)
    await session.flush()
    await put_secret(session, box, team_id=scope.team_id, owner=(GIT_CREDENTIAL, row.id), name=PRIVATE, value=private)
    await _record(session, "GitCredentialCreated", row, {"kind": row.kind})
    return row


def _make_key(comment: str) -> tuple[str, str]:
    """Return a private key in OpenSSH format, and the public key line for the Git host."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - megabytes that a start does without
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - likewise
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return private, f"{public} {comment}"


async def update_git_credential(
    session: AsyncSession, box: SecretBox, scope: Scope, credential_id: str, changes: GitCredentialChanges
) -> GitCredential:
    """Change name, trusted host keys, token or host of a credential."""
    row = await get_credential(session, scope, GitCredential, credential_id)
    if row.kind == "ssh" and (changes.token is not None or changes.username is not None):
        raise BadInput("a deploy key has no token", hint="Make a credential of kind “token” instead.")
    if changes.name is not None and changes.name != row.name:
        await check_git_name(session, row, changes.name)
    plain = changes.model_dump(include={"name", "username", "known_hosts"}, exclude_none=True)
    for name, value in plain.items():
        setattr(row, name, value)
    row.host = _choose_host(row, changes)
    if changes.token is not None:
        await put_secret(
            session, box, team_id=scope.team_id, owner=(GIT_CREDENTIAL, row.id), name=PRIVATE,
            value=changes.token.get_secret_value(),
        )  # fmt: skip
    await _record(session, "GitCredentialUpdated", row, {"fields": sorted(changes.model_fields_set)})
    return row


def _choose_host(row: GitCredential, changes: GitCredentialChanges) -> str:
    """Return the new host. A token may only move to another host if the request contains the token again.

    Otherwise a user who cannot read the stored token could send it to a host of their own.
    """
    if changes.host is None:
        return row.host
    host = parse_git_host(changes.host, "ssh" if row.kind == "ssh" else "token")
    if row.kind == "token" and host != row.host and changes.token is None:
        raise BadInput(
            "the stored token is not sent to another host than before",
            hint="Give the token again, together with its new host.",
            fields={"host": "is changed only together with the token", "token": "is missing"},
        )
    return host


async def trust_host_keys(session: AsyncSession, scope: Scope, credential_id: str, host_keys: str) -> None:
    """Add host keys, whose fingerprints a user compared, to those that a credential trusts.

    Raises NotFound, and BadInput when these are more than a credential may have.
    """
    row = await get_credential(session, scope, GitCredential, credential_id)
    lines = dict.fromkeys([*row.known_hosts.splitlines(), *host_keys.splitlines()])
    try:
        changes = GitCredentialChanges(known_hosts="\n".join(lines))
    except ValidationError:
        hint = "Take old ones out of its `known_hosts`, or make another credential."
        raise BadInput("this credential trusts too many host keys to take more", hint=hint) from None
    row.known_hosts = changes.known_hosts or ""
    await _record(session, "GitCredentialUpdated", row, {"fields": ["known_hosts"]})


async def delete_git_credential(session: AsyncSession, scope: Scope, credential_id: str) -> None:
    """Delete a credential. Raises Conflict while a service uses it."""
    row = await get_credential(session, scope, GitCredential, credential_id)
    await check_deletable(session, GIT_CREDENTIAL, row.id)
    await _record(session, "GitCredentialDeleted", row, {})
    await delete_secrets(session, (GIT_CREDENTIAL, row.id))
    await session.delete(row)


async def _record(session: AsyncSession, fact_type: str, row: GitCredential, payload: dict[str, Any]) -> None:
    payload = {"name": row.name, "host": row.host, **payload}
    await record(session, Fact(fact_type, row.team_id, GIT_CREDENTIAL, row.id, payload))
