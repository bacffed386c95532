"""Opening secrets: the only place where a stored ciphertext becomes a value again."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.secrets.errors import SecretUnreadable
from orca.features.secrets.models import Secret
from orca.features.secrets.rules import Owner, place
from orca.kit.crypto import SecretBox, Undecipherable

_IDS_AT_ONCE = 500


async def open_secret(session: AsyncSession, box: SecretBox, owner: Owner, name: str) -> str | None:
    """One secret of an owner, or None if there is none of that name. Raises SecretUnreadable."""
    owner_type, owner_id = owner
    query = select(Secret).where(Secret.owner_type == owner_type, Secret.owner_id == owner_id, Secret.name == name)
    row = await session.scalar(query)
    return None if row is None else _open(box, row)


async def open_secrets(session: AsyncSession, box: SecretBox, owner: Owner) -> dict[str, str]:
    """All secrets of an owner by name. Raises SecretUnreadable."""
    owner_type, owner_id = owner
    query = select(Secret).where(Secret.owner_type == owner_type, Secret.owner_id == owner_id)
    return {row.name: _open(box, row) for row in await session.scalars(query)}


async def open_secrets_of(
    session: AsyncSession, box: SecretBox, owner_type: str, owner_ids: Collection[str], name: str
) -> dict[str, str]:
    """The secret of that name of many owners, by owner id; those without one are left out."""
    opened: dict[str, str] = {}
    ids = sorted(owner_ids)
    for start in range(0, len(ids), _IDS_AT_ONCE):
        query = select(Secret).where(
            Secret.owner_type == owner_type,
            Secret.owner_id.in_(ids[start : start + _IDS_AT_ONCE]),
            Secret.name == name,
        )
        opened |= {row.owner_id: _open(box, row) for row in await session.scalars(query)}
    return opened


def _open(box: SecretBox, row: Secret) -> str:
    try:
        return box.unseal(row.sealed, place((row.owner_type, row.owner_id), row.name)).decode()
    except Undecipherable:
        raise SecretUnreadable(
            f"the stored secret “{row.owner_type} {row.name}” cannot be decrypted with the key of this instance",
            hint="Put back the `secret.key` that belongs to this database, or set the secret again.",
        ) from None
