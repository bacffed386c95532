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
    find_last_seq,
    follow_events,
    list_events,
    load_checkpoints,
    verify_trail,
)
from orca.features.audit.schemas import EventFilter, EventOut, Verification
from orca.kit.pagination import Page, cut_page
from orca.kit.sse import STREAM_HEADERS, format_event, keep_open
from orca.web.guard import CurrentResources, CurrentSubject, Router, guard, narrowed

router = Router(prefix="/api/v1/events", tags=["audit"])

_SEQ = r"^[0-9]{1,18}$"
LastEventId = Annotated[str | None, Header(pattern=_SEQ, description="`seq` of the last event that arrived.")]


@router.get("", summary="List events")
@narrowed()
@guard("event.read")
async def read_events(
    session: ReadSession, subject: CurrentSubject, wanted: Annotated[EventFilter, Query()]
) -> Page[EventOut]:
    """What happened in the team, newest first. Instance admins also see what belongs to no team, such as sign-ins."""
    rows = await list_events(session, subject, wanted)
    items, next_cursor = cut_page([EventOut.model_validate(row) for row in rows], wanted.limit, "seq")
    return Page(items=items, next_cursor=next_cursor)


@router.get(
    "/stream",
    summary="Follow events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
@narrowed()
@guard("event.read", rate="stream")
async def stream_events(
    subject: CurrentSubject, resources: CurrentResources, last_event_id: LastEventId = None
) -> StreamingResponse:
    """Server-sent events named after their type, from now on or from after `Last-Event-ID`.

    When that is behind the end, because an older database was put back, the first one is `reset` {last_seq}.
    """
    async with resources.db.read(subject.team_id) as session:  # not the request's own, which stays open with the stream
        last = await find_last_seq(session)
    after = int(last_event_id) if last_event_id else last
    frames = _frames(
        follow_events(resources.db, subject, after=min(after, last)), reset_to=last if after > last else None
    )
    return StreamingResponse(keep_open(frames), media_type="text/event-stream", headers=STREAM_HEADERS)


@router.get("/verify", summary="Verify the audit trail")
@guard("instance.admin", seconds=600)
async def verify_events(session: ReadSession, resources: CurrentResources) -> Verification:
    """Walks the hash chain from the first event to the last, and compares it with the checkpoints outside it."""
    checkpoints = await asyncio.to_thread(load_checkpoints, resources.settings)
    trail = await verify_trail(session, resources.secret_box.sign, checkpoints)
    return Verification(is_intact=not trail.problem, **asdict(trail))


async def _frames(events: AsyncIterator[Event], *, reset_to: int | None) -> AsyncIterator[str]:
    if reset_to is not None:
        yield format_event("reset", {"last_seq": reset_to}, event_id=str(reset_to))
    async for event in events:
        shown = EventOut.model_validate(event).model_dump(mode="json")
        yield format_event(event.type, shown, event_id=str(event.seq))
