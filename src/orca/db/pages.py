"""Pages of a list: filtered, in the order that is asked for, from the cursor on."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from orca.db.filters import NO_OTHERS, narrow
from orca.errors import BadInput
from orca.kit.pagination import NamedPage, Page, PageRequest, cut_page

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

    The newest come first, by the number `by` or else the id, unless `wanted` asks for another order. The cursor is the
    id of a row; what it is ordered by is looked up without the filters, because the row may have changed. Raises
    BadInput when the row is gone.
    """
    sort = wanted.sort if isinstance(wanted, NamedPage) else "-created_at"
    # Names may be equal, so the id decides; an id and a number are unique.
    keys = [table.name, table.id] if sort.endswith("name") else [table.id if by is None else by]
    place = await _find_place(session, query, table, keys, wanted.cursor)
    query = narrow(query, table, wanted, columns)
    descends = sort.startswith("-")
    if place is not None:
        here, there = tuple_(*keys), tuple_(*place)
        query = query.where(here < there if descends else here > there)
    order = [key.desc() if descends else key.asc() for key in keys]
    rows = (await session.scalars(query.order_by(*order).limit(wanted.limit + 1))).all()
    items, next_cursor = cut_page(list(rows), wanted.limit)
    return Page[T].model_construct(items=items, next_cursor=next_cursor)


async def _find_place(
    session: AsyncSession, query: Select[Any], table: Any, keys: list[Any], cursor: str | None
) -> Sequence[Any] | None:
    """Return the keys of the cursor's row, after which the page continues."""
    if cursor is None:
        return None
    if keys[0] is table.id:
        return (cursor,)
    place = (await session.execute(query.with_only_columns(*keys).where(table.id == cursor))).one_or_none()
    if place is None:
        raise BadInput("the cursor leads nowhere: what it stood for is gone", hint="Begin again without a cursor.")
    return place
