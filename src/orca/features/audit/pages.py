"""The page of what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import ReadSession
from orca.events import Event
from orca.features.audit.feed import FeedFilter, FeedPage, list_actors, list_feed
from orca.features.audit.words import OUTCOMES, detail_of, list_kinds, page_of, state_of, title_of, who_of
from orca.features.manifest import NamedObject
from orca.web.guard import CurrentResources, CurrentScope, CurrentSubject, Router, Subject, guard, narrowed
from orca.web.live import Sources, stream_fragment
from orca.web.render import draw, render

router = Router(include_in_schema=False)
PAGE_SIZE = 50
_NAMELESS = NamedObject("")


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event as it is read."""

    seq: int
    type: str
    title: str
    about: NamedObject
    of: NamedObject
    """The service to which the object belongs."""
    detail: str
    operation: str
    """Path of the page of the operation that it is about, or empty."""
    number: str
    state: str
    outcome: str
    who: str
    door: str
    ip: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """Events, newest first."""

    lines: Sequence[EventLine]
    next: str
    wanted: FeedFilter
    is_narrow: bool
    kinds: Sequence[tuple[str, str]]
    outcomes: Sequence[tuple[str, str]]
    actors: Sequence[str]
    live: str
    """The address of its stream; empty for earlier events, which do not change."""


Short = Annotated[str, Query(max_length=100)]


def _wanted(
    type: Annotated[str, Query(max_length=64)] = "",  # noqa: A002 - the query parameter
    who: Short = "",
    outcome: Annotated[str, Query(max_length=16)] = "",
    about: Short = "",
    text: Short = "",
    steps: Annotated[str, Query(max_length=8)] = "",
) -> FeedFilter:
    return FeedFilter(type.strip(), who.strip(), outcome.strip(), about.strip(), text.strip(), bool(steps))


@router.get("/activity")
@narrowed()
@guard("event.read", page=True)
async def show_activity(
    request: Request,
    session: ReadSession,
    subject: CurrentSubject,
    wanted: Annotated[FeedFilter, Depends(_wanted)],
    before: Annotated[int | None, Query(ge=1, le=1 << 62)] = None,
) -> Response:
    """Who did what, when, from where, and how it ended."""
    page = await _read_page(session, subject, wanted, before)
    return render(request, "audit/activity.html", page, headers={"HX-Replace-Url": _address(wanted, before)})


@router.get("/live/activity")
@narrowed()
@guard("event.read", rate="stream", page=True)
async def follow_activity(
    request: Request, scope: CurrentScope, resources: CurrentResources, subject: CurrentSubject,
    wanted: Annotated[FeedFilter, Depends(_wanted)],
) -> StreamingResponse:  # fmt: skip
    """Stream the newest events."""

    async def draw_now() -> tuple[str, bool]:
        async with resources.db.read(scope.team_id, scope.reach) as session:
            page = await _read_page(session, subject, wanted, None)
        return draw(request, "audit/_events.html", page, shared=True), False

    return stream_fragment(request, draw_now, Sources(with_instance=subject.is_instance_admin), shared=True)


async def _read_page(session: AsyncSession, subject: Subject, wanted: FeedFilter, before: int | None) -> ActivityPage:
    feed = await list_feed(session, subject, wanted, limit=PAGE_SIZE, before=before)
    return ActivityPage(
        lines=[_line(event, feed) for event in feed.events],
        next=_address(wanted, feed.next_before) if feed.next_before else "",
        wanted=wanted,
        is_narrow=wanted.is_narrow,
        kinds=_kinds(wanted.type),
        outcomes=[("", "Any"), *((outcome, outcome.capitalize()) for outcome in OUTCOMES)],
        actors=await list_actors(session, subject),
        live="" if before else _address(wanted, None).replace("/activity", "/live/activity", 1),
    )


def _kinds(chosen: str) -> list[tuple[str, str]]:
    """What can be chosen, with the one type that was asked for by following a link."""
    kinds = [("", "Everything"), *((kind, label) for kind, (label, _) in list_kinds().items())]
    return kinds if chosen in {"", *list_kinds()} else [*kinds, (chosen, f"Only “{title_of(chosen, {})}”")]


def _address(wanted: FeedFilter, before: int | None) -> str:
    """Of this page, with what is asked for and nothing else."""
    asked: Mapping[str, object] = {
        "type": wanted.type, "who": wanted.who, "outcome": wanted.outcome, "about": wanted.about, "text": wanted.text,
        "steps": "all" if wanted.steps else "", "before": before or "",
    }  # fmt: skip
    query = urlencode({key: value for key, value in asked.items() if value})
    return f"/activity?{query}" if query else "/activity"


def _line(event: Event, feed: FeedPage) -> EventLine:
    payload = event.payload
    by = feed.askers.get(event.seq, event)
    state, outcome = state_of(event)
    who, door = who_of(by.actor, by.via)
    return EventLine(
        seq=event.seq,
        type=event.type,
        title=title_of(event.type, payload),
        about=_about(event, feed),
        of=feed.names.get(("service", payload.get("service_id") or ""), _NAMELESS),
        detail=detail_of(payload),
        operation=page_of(payload),
        number=str(payload.get("number", "")),
        state=state,
        outcome=outcome,
        who=who,
        door=door,
        ip=by.ip or "",
        at=event.at,
    )


def _about(event: Event, feed: FeedPage) -> NamedObject:
    """Return the object with its present name, or with that in the event; none when it is the actor themselves."""
    then = NamedObject(str(event.payload.get("service") or event.payload.get("name") or ""))
    named = feed.names.get((event.object_type or "", event.object_id or ""), then)
    return _NAMELESS if event.object_type == "user" and named.name == event.actor else named
