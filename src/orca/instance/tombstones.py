"""Records deliberate deletions, for code that later finds the object on an engine or a proxy."""

from collections.abc import Collection
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.instance.models import Tombstone

Kind = Literal["build", "deployment", "route", "upload"]
_IDS_AT_ONCE = 500


async def bury(session: AsyncSession, kind: Kind, ids: Collection[str]) -> None:
    """Record a deletion, in the transaction that deletes the rows."""
    for object_id in set(ids) - await list_buried(session, kind, ids):
        session.add(Tombstone(kind=kind, object_id=object_id))
    await session.flush()


async def list_buried(session: AsyncSession, kind: Kind, ids: Collection[str]) -> set[str]:
    """Return those of the ids whose deletion is recorded."""
    found: set[str] = set()
    wanted = sorted(ids)
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        some = wanted[start : start + _IDS_AT_ONCE]
        query = select(Tombstone.object_id).where(Tombstone.kind == kind, Tombstone.object_id.in_(some))
        found.update((await session.scalars(query)).all())
    return found
