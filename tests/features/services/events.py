"""What was recorded, for tests that care."""

from fastapi import FastAPI
from sqlalchemy import select

from orca.events import Event


async def events_of(app: FastAPI, *types: str) -> list[Event]:
    """Facts of these types in their order."""
    async with app.state.resources.db.read() as session:
        return list((await session.scalars(select(Event).where(Event.type.in_(types)).order_by(Event.seq))).all())
