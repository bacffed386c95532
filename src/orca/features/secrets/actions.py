"""Keeping secrets: sealed before they reach the database, and gone when their owner is."""

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.features.secrets.models import Secret
from orca.features.secrets.rules import Owner, place
from orca.kit.crypto import SecretBox


async def put_secret(
    session: AsyncSession, box: SecretBox, *, team_id: str, owner: Owner, name: str, value: str
) -> None:
    """Store a secret of an owner, in place of the one it had under that name."""
    owner_type, owner_id = owner
    sealed = box.seal(value.encode(), place(owner, name))
    query = select(Secret).where(Secret.owner_type == owner_type, Secret.owner_id == owner_id, Secret.name == name)
    row = await session.scalar(query)
    if row is None:
        session.add(Secret(team_id=team_id, owner_type=owner_type, owner_id=owner_id, name=name, sealed=sealed))
    else:
        row.sealed, row.updated_at = sealed, now()
    await session.flush()


async def delete_secrets_of_all(session: AsyncSession, owner_type: str, owner_ids: Collection[str]) -> None:
    """Forget all secrets of some owners of one kind."""
    await session.execute(delete(Secret).where(Secret.owner_type == owner_type, Secret.owner_id.in_(owner_ids)))


async def delete_secrets(session: AsyncSession, owner: Owner) -> None:
    """Forget all secrets of an owner."""
    owner_type, owner_id = owner
    await session.execute(delete(Secret).where(Secret.owner_type == owner_type, Secret.owner_id == owner_id))
