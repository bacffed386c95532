"""Cursor pagination: a page is a list and the cursor of the next one."""

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="How many items a page holds.")]
_ID = r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
Cursor = Annotated[str | None, Query(pattern=_ID, description="`next_cursor` of the page before.")]


class Page(BaseModel, Generic[T]):
    """Items, and the cursor that continues after them; no cursor on the last page."""

    model_config = ConfigDict(from_attributes=True, arbitrary_types_allowed=True)

    items: list[T]
    next_cursor: str | None = None


def cut_page(rows: list[T], limit: int, cursor_of: str = "id") -> tuple[list[T], str | None]:
    """From `limit + 1` fetched rows: the page and its next cursor."""
    page = rows[:limit]
    more = len(rows) > limit
    return page, str(getattr(page[-1], cursor_of)) if more else None
