"""Pages of a list, newest first."""

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from orca.db.filters import NO_OTHERS, narrow
from orca.errors import BadInput
from orca.kit.pagination import Page, PageRequest, cut_page

T = TypeVar("T")


async def read_page(
    session: AsyncSession,
    query: Select[T],
    table: Any,
    wanted: PageRequest,
    *,
    by: Mapped[int] | None = None,
    columns: Mapping[str, Any] = NO_OTHERS,
) -> Page[T]:
    """Return a page of the rows that the query selects and the filters of `wanted` keep (`columns`: see `narrow`).

    They are in descending order of the number `by`, by default of the id. The cursor is the id of a row; its number is
    looked up without the filters, because the row may have changed. Raises BadInput when the row is gone.
    """
    order = table.id if by is None else by
    after = wanted.cursor if by is None else await _find_place(session, query.with_only_columns(by), table, wanted)
    query = narrow(query, table, wanted, columns)
    if after is not None:
        query = query.where(order < after)
    rows = (await session.scalars(query.order_by(order.desc()).limit(wanted.limit + 1))).all()
    items, next_cursor = cut_page(list(rows), wanted.limit)
    return Page[T].model_construct(items=items, next_cursor=next_cursor)


async def _find_place(session: AsyncSession, numbers: Select[int], table: Any, wanted: PageRequest) -> int | None:
    """Return the number of the cursor's row, after which the page continues."""
    if wanted.cursor is None:
        return None
    place = await session.scalar(numbers.where(table.id == wanted.cursor))
    if place is None:
        raise BadInput("the cursor leads nowhere: what it stood for is gone", hint="Begin again without a cursor.")
    return place
