"""Cursor pagination: a page is a list and the cursor of the next one."""

from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from orca.kit.fields import Output

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="How many items a page holds.")]
_ID = r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
Cursor = Annotated[str | None, Query(pattern=_ID, description="`next_cursor` of the page before.")]


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Instant = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time in a query; without a zone it is UTC."""
Word = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""A search term, compared with names or hosts."""


class PageRequest(BaseModel):
    """The requested page of a list; subclasses add filters as fields. None means no filter."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="How many items a page holds.")
    cursor: str | None = Field(None, pattern=_ID, description="`next_cursor` of the page before.")


class RecentPage(PageRequest):
    """A page request for items that are created one after another."""

    since: Instant | None = Field(None, description="Only what was made at this moment or later.")
    until: Instant | None = Field(None, description="Only what was made before this moment.")


class Page(Output, Generic[T]):
    """Items, and the cursor of the next page; None on the last page."""

    model_config = ConfigDict(from_attributes=True, arbitrary_types_allowed=True)

    items: list[T]
    next_cursor: str | None = None


class NamedPage(PageRequest):
    """A page request for items that have names."""

    sort: Literal["-created_at", "created_at", "-name", "name"] = Field(
        "-created_at", description="What the list is ordered by; with a minus, the last comes first."
    )


def cut_page(rows: list[T], limit: int, cursor_of: str = "id") -> tuple[list[T], str | None]:
    """Split `limit + 1` fetched rows into the page and the cursor of the next one."""
    page = rows[:limit]
    more = len(rows) > limit
    return page, str(getattr(page[-1], cursor_of)) if more else None
