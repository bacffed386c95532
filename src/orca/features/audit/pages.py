"""The page of what happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request, Response

from orca.db import ReadSession
from orca.events import Event
from orca.features.audit.queries import EventFilter, list_events
from orca.web.guard import CurrentSubject, Router, guard
from orca.web.render import render

router = Router(include_in_schema=False)
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """Events, newest first."""

    events: Sequence[Event]
    next_before: int | None
    type: str


@router.get("/activity")
@guard("event.read", page=True)
async def show_activity(
    request: Request,
    session: ReadSession,
    subject: CurrentSubject,
    before: Annotated[int | None, Query(ge=1)] = None,
    type: Annotated[str, Query(max_length=64)] = "",  # noqa: A002 - the query parameter
) -> Response:
    """Who did what, when, from where, and how it ended."""
    rows = await list_events(session, subject, EventFilter(type=type or None), limit=PAGE_SIZE, before=before)
    following = rows[PAGE_SIZE - 1].seq if len(rows) > PAGE_SIZE else None
    return render(request, "audit/activity.html", ActivityPage(rows[:PAGE_SIZE], following, type))
