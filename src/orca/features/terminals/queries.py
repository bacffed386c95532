"""Reads: terminals whose process of Orca died."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.terminals.models import OpenTerminal

_MOST = 200


async def list_lost(session: AsyncSession, before: datetime) -> Sequence[OpenTerminal]:
    """List terminals that no process has been alive with since then."""
    return (await session.scalars(select(OpenTerminal).where(OpenTerminal.seen_at < before).limit(_MOST))).all()
