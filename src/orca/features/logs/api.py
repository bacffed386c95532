"""REST doors of stored lines: pages of them, a file, and a live stream."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import Header, Query, Request
from fastapi.responses import StreamingResponse

from orca.features.deployments.output import OutputRange, Positions, follow_output, list_hidden
from orca.features.deployments.queries import find_system
from orca.features.logs.hiding import Hiding
from orca.features.logs.queries import explain_gap, follow_lines, open_store, read_all, read_page, search
from orca.features.logs.rules import StoredLine
from orca.features.logs.schemas import DownloadQuery, LineOut, LineQuery, LinesOut, StreamQuery, show_line
from orca.features.logs.search import FoundLines
from orca.kit.sse import STREAM_HEADERS, format_event, keep_open
from orca.kit.text import clean_output
from orca.resources import Resources
from orca.web.guard import CurrentResources, CurrentScope, CurrentSubject, Router, Scope, guard

router = Router(prefix="/api/v1", tags=["running"])
_TAIL = 500
"""Lines of each replica that a stream begins with where none are kept."""


@router.get("/services/{service_id}/logs/lines", response_model=LinesOut)
@guard("service.read", tenant="service_id")
async def list_lines(
    service_id: str, request: Request, subject: CurrentSubject, scope: CurrentScope, resources: CurrentResources,
    query: Annotated[LineQuery, Query()],
) -> LinesOut:  # fmt: skip
    """Return lines that a service wrote, also those of earlier releases and of containers that are gone.

    Without `before`, `after` or `around`, these are the newest ones, with the number of all matches.
    """
    store = await open_store(resources, service_id)
    work = partial(read_page, store, query)
    found = await search(resources, request, subject.actor, query, work) or FoundLines([])
    lines = await Hiding(resources, scope, service_id).hide(found.lines)
    items = [show_line(line) for line in lines]
    older, newer = found.resume, items[-1].id if items else query.after
    if query.after is not None:
        older = items[0].id if items else None
        newer = newer if found.resume is None else found.resume
    async with resources.db.read(scope.team_id, scope.reach) as session:
        system_id = await find_system(session, service_id)
    return LinesOut.model_construct(
        items=items,
        older=older or None,
        newer=newer,
        total=found.total,
        is_total_exact=found.is_total_exact,
        first=store.first_number,
        problem=explain_gap(resources, service_id, system_id),
    )


@router.get(
    "/services/{service_id}/logs/download",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {}, "application/x-ndjson": {}}}},
)
@guard("service.read", tenant="service_id", rate="stream")
async def download_lines(
    service_id: str, subject: CurrentSubject, scope: CurrentScope, resources: CurrentResources,
    query: Annotated[DownloadQuery, Query()],
) -> StreamingResponse:  # fmt: skip
    """Return all lines that match as a file: text without colours, or one JSON object per line."""
    store = await open_store(resources, service_id)
    is_text = query.format == "text"
    name = f"service-{service_id}.{'log' if is_text else 'ndjson'}"
    batches = read_all(resources, store, query.to_filter(), subject.actor)
    return StreamingResponse(
        _draw_file(batches, Hiding(resources, scope, service_id), is_text=is_text),
        media_type="text/plain" if is_text else "application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


@router.get(
    "/services/{service_id}/logs/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
@guard("service.read", tenant="service_id", rate="stream")
async def stream_lines(
    service_id: str,
    subject: CurrentSubject,
    scope: CurrentScope,
    resources: CurrentResources,
    query: Annotated[StreamQuery, Query()],
    last_event_id: Annotated[str, Header(max_length=4000, description="Go on behind this event.")] = "",
) -> StreamingResponse:
    """Stream lines as they are collected, in events `lines` {items}: each begins where the one before has ended.

    The id of an event is that of its last line. With it as `Last-Event-ID`, or as `after`, no line is lost or repeated.
    """
    wanted = query.to_filter()
    if resources.settings.logs.stored:
        after = int(last_event_id) if last_event_id.isdecimal() else query.after
        frames: AsyncIterator[str] = _stored_frames(
            follow_lines(resources, service_id, after, wanted, subject.actor), Hiding(resources, scope, service_id)
        )
    else:
        frames = await _engine_frames(resources, scope, service_id, last_event_id)
    return StreamingResponse(keep_open(frames), media_type="text/event-stream", headers=STREAM_HEADERS)


async def _stored_frames(batches: AsyncIterator[list[StoredLine]], hiding: Hiding) -> AsyncGenerator[str, None]:
    async for batch in batches:
        lines = await hiding.hide(batch)
        yield format_event("lines", {"items": [_plain(line) for line in lines]}, event_id=str(lines[-1].number))


async def _engine_frames(resources: Resources, scope: Scope, service_id: str, last_id: str) -> AsyncIterator[str]:
    """Return the frames of what the engine itself has, where nothing is kept."""
    async with resources.db.read(scope.team_id, scope.reach) as session:
        system_id = await find_system(session, service_id)
    engine = await resources.systems.engine(system_id)
    replicas = await engine.observe({"orca.service": service_id})
    hidden = await list_hidden(resources, scope, service_id, replicas)
    number, _, position = last_id.partition("~")
    after = Positions.parse(position)
    lines = follow_output(engine, replicas, OutputRange(_TAIL, follow=True, after=after, hidden=hidden))
    offset = int(number) + 1 if after and number.isdecimal() else 0

    async def draw() -> AsyncGenerator[str, None]:
        count = offset
        async for line, place in lines:
            item = {"id": count, "at": line.at, "replica": line.replica, "release": None, "stream": line.stream,
                    "level": "none", "text": line.text, "is_match": True}  # fmt: skip
            yield format_event("lines", {"items": [item]}, event_id=f"{count}~{place}")
            count += 1
        yield format_event("end", {"state": "ended"})

    return resources.systems.hold_during(system_id, draw())


async def _draw_file(
    batches: AsyncIterator[list[StoredLine]], hiding: Hiding, *, is_text: bool
) -> AsyncGenerator[str, None]:
    async for batch in batches:
        lines = await hiding.hide(batch)
        if is_text:
            yield "".join(_draw_text(show_line(line)) for line in lines)
        else:
            yield "".join(json.dumps(_plain(line), ensure_ascii=False) + "\n" for line in lines)


def _draw_text(line: LineOut) -> str:
    text = clean_output(line.text, colours=False)
    return f"{line.at:%Y-%m-%dT%H:%M:%S.%f}Z {line.replica} {line.stream} {text}\n"


def _plain(line: StoredLine) -> dict[str, Any]:
    return show_line(line).model_dump(mode="json")
