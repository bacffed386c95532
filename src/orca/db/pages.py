"""Pages of a list, newest first."""

from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from orca.errors import BadInput
from orca.kit.pagination import Page, PageRequest, cut_page

T = TypeVar("T")


async def read_page(
    session: AsyncSession, query: Select[T], column: Mapped[Any], wanted: PageRequest, after: int | None = None
) -> Page[T]:
    """Return rows in descending order of `column`, after `after` or else the cursor, which is a value of the id."""
    last = wanted.cursor if after is None else after
    if last is not None:
        query = query.where(column < last)
    rows = (await session.scalars(query.order_by(column.desc()).limit(wanted.limit + 1))).all()
    items, next_cursor = cut_page(list(rows), wanted.limit)
    return Page[T].model_construct(items=items, next_cursor=next_cursor)


async def find_place(
    session: AsyncSession, query: Select[Any], table: Any, column: Mapped[int], cursor: str | None
) -> int | None:
    """Return the number of the cursor's row, after which the page continues. Raises BadInput when the row is gone."""
    if cursor is None:
        return None
    place: int | None = await session.scalar(query.with_only_columns(column).where(table.id == cursor))
    if place is None:
        raise BadInput("the cursor leads nowhere: what it stood for is gone", hint="Begin again without a cursor.")
    return place
