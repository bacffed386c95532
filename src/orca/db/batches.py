"""Deletes many rows without blocking other writers."""

from sqlalchemy import ColumnElement, delete, select

from orca.db import Database, Row

BATCH = 500


async def delete_in_batches(
    db: Database, table: type[Row], *conditions: ColumnElement[bool], batch: int = BATCH
) -> int:
    """Delete the rows that meet the conditions in short transactions, and return their number.

    If the process is killed in between, the next call deletes the rest.
    """
    total = 0
    while True:
        async with db.write() as session:
            some = select(table.id).where(*conditions).limit(batch)
            ids = (await session.scalars(some)).all()
            await session.execute(delete(table).where(table.id.in_(ids)))
        total += len(ids)
        if len(ids) < batch:
            return total
