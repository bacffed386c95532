"""Doors: the audit trail, as a list, as a stream, and proven."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import StreamingResponse

from orca.db import ReadSession
from orca.events import Event
from orca.features.audit.queries import (
    EventFilter,
    find_last_seq,
    follow_events,
    list_events,
    load_checkpoints,
    verify_trail,
)
from orca.features.audit.schemas import EventOut, Verification
from orca.kit.pagination import Limit, Page, cut_page
from orca.kit.sse import STREAM_HEADERS, format_event, keep_open
from orca.web.guard import CurrentResources, CurrentSubject, Router, guard

router = Router(prefix="/api/v1/events", tags=["audit"])

_SEQ = r"^[0-9]{1,18}$"
Seq = Annotated[str | None, Query(pattern=_SEQ, description="`next_cursor` of the page before.")]
LastEventId = Annotated[str | None, Header(pattern=_SEQ, description="`seq` of the last event that arrived.")]
Word = Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


@router.get("", summary="List events")
@guard("event.read")
async def read_events(  # noqa: PLR0913, PLR0917 - each filter is a query parameter
    session: ReadSession,
    subject: CurrentSubject,
    event_type: Annotated[Word, Query(alias="type")] = None,
    object_type: Word = None,
    object_id: Word = None,
    limit: Limit = 50,
    cursor: Seq = None,
) -> Page[EventOut]:
    """What happened in the team, newest first. Instance admins also see what belongs to no team, such as sign-ins."""
    wanted = EventFilter(event_type, object_type, object_id)
    rows = await list_events(session, subject, wanted, limit=limit, before=int(cursor) if cursor else None)
    items, next_cursor = cut_page([EventOut.model_validate(row) for row in rows], limit, "seq")
    return Page(items=items, next_cursor=next_cursor)


@router.get(
    "/stream",
    summary="Follow events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
@guard("event.read", rate="stream")
async def stream_events(
    subject: CurrentSubject, resources: CurrentResources, last_event_id: LastEventId = None
) -> StreamingResponse:
    """Server-sent events named after their type, from now on or from after `Last-Event-ID`."""
    async with resources.db.read() as session:  # not the request's own, which stays open as long as the stream
        after = int(last_event_id) if last_event_id else await find_last_seq(session)
    frames = _frames(follow_events(resources.db, subject, after=after))
    return StreamingResponse(keep_open(frames), media_type="text/event-stream", headers=STREAM_HEADERS)


@router.get("/verify", summary="Verify the audit trail")
@guard("instance.admin", seconds=600)
async def verify_events(session: ReadSession, resources: CurrentResources) -> Verification:
    """Walks the hash chain from the first event to the last, and compares it with the checkpoints outside it."""
    checkpoints = await asyncio.to_thread(load_checkpoints, resources.settings)
    trail = await verify_trail(session, resources.secret_box.sign, checkpoints)
    return Verification(is_intact=not trail.problem, **asdict(trail))


async def _frames(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    async for event in events:
        shown = EventOut.model_validate(event).model_dump(mode="json")
        yield format_event(event.type, shown, event_id=str(event.seq))
