"""The page's view of events: filtered by words, and an operation that has ended as one row instead of three."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, String, and_, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import Event
from orca.features.audit.names import find_named, find_names
from orca.features.audit.queries import find_last_seq, visible_to
from orca.features.audit.words import list_kinds, list_operations
from orca.features.manifest import NamedObject, OperationEvents
from orca.web.guard import Scope, Subject

SEARCHED: Final = 20_000
"""So many events are looked through for one page; the next page goes on from there."""
_CHUNK: Final = 200
_MOST_CHUNKS: Final = 5
_AROUND: Final = 5_000
"""Within so many events an operation is over."""
_ACTORS_OF: Final = 1_000
Conditions = Sequence[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """What is asked for; what is empty does not matter."""

    type: str = ""
    """A type of event, or one of `words.list_kinds`."""
    who: str = ""
    outcome: str = ""
    about: str = ""
    """Part of the name of a service or project."""
    text: str = ""
    steps: bool = False
    """Whether the events before the end are shown of operations that have ended."""

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out besides the steps."""
        return self != FeedFilter(steps=self.steps)


@dataclass(frozen=True, slots=True)
class FeedPage:
    """One page, newest first."""

    events: Sequence[Event]
    askers: Mapping[int, Event]
    """`seq` of the end of an operation -> the event that asked for it, as far as it is near."""
    names: Mapping[tuple[str, str], NamedObject]
    next_before: int | None
    """The `seq` before which the next page begins."""


async def list_feed(
    session: AsyncSession, subject: Subject, wanted: FeedFilter, *, limit: int, before: int | None, most: int = SEARCHED
) -> FeedPage:
    """At most `limit` events before a `seq`. A narrow search ends after `most` events, full or not."""
    top = before or await find_last_seq(session) + 1
    floor = max(top - most, 1) if wanted.is_narrow else 1
    conditions = [visible_to(subject), Event.seq >= floor, *await _conditions(session, subject, wanted)]
    outcome = [Event.outcome == wanted.outcome] if wanted.outcome else []
    rows: list[Event] = []
    following: int | None = top
    for _ in range(_MOST_CHUNKS):
        query = (
            select(Event).where(*conditions, *outcome, Event.seq < following).order_by(Event.seq.desc()).limit(_CHUNK)
        )
        chunk = (await session.scalars(query)).all()
        ended = set() if wanted.steps else await _ended(session, chunk, conditions)
        rows += [row for row in chunk if row.seq not in ended]
        if len(chunk) < _CHUNK:
            following = floor if floor > 1 else None
            break
        following = chunk[-1].seq
        if len(rows) > limit:
            break
    shown = rows[:limit]
    following = shown[-1].seq if len(rows) > limit else following
    return FeedPage(shown, await _askers(session, shown), await _names(session, subject, shown), following)


async def list_actors(session: AsyncSession, subject: Subject) -> list[str]:
    """Who did something lately, by name."""
    newest = select(Event.actor).where(visible_to(subject)).order_by(Event.seq.desc()).limit(_ACTORS_OF).subquery()
    return sorted(await session.scalars(select(newest.c.actor).distinct()))


async def _conditions(session: AsyncSession, subject: Subject, wanted: FeedFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    kinds = list_kinds()
    if wanted.type in kinds:
        conditions.append(or_(*(Event.type.startswith(begin) for begin in kinds[wanted.type][1])))
    elif wanted.type:
        conditions.append(Event.type == wanted.type)
    if wanted.who:
        conditions.append(Event.actor.icontains(wanted.who, autoescape=True))
    if wanted.about:
        conditions.append(_about(await find_named(session, Scope(subject.team_id), wanted.about), wanted.about))
    if wanted.text:
        named = await find_named(session, Scope(subject.team_id), wanted.text)
        conditions.append(or_(_holds(wanted.text), Event.object_id.in_(named)))
    return conditions


def _about(ids: Sequence[str], text: str) -> ColumnElement[bool]:
    """Events of these things, and of what belongs to them; or of something that was called so then."""
    return or_(
        Event.object_id.in_(ids),
        Event.payload["service_id"].as_string().in_(ids),
        *(Event.payload[key].as_string().icontains(text, autoescape=True) for key in ("service", "name", "hostname")),
    )


def _holds(text: str) -> ColumnElement[bool]:
    """The text anywhere. JSON is stored in ASCII, types are written without spaces."""
    columns = (Event.actor, Event.ip, Event.object_id, cast(Event.payload, String))
    escaped = json.dumps(text)[1:-1]
    return or_(
        *(column.icontains(escaped, autoescape=True) for column in columns),
        Event.type.icontains(text.replace(" ", ""), autoescape=True),
    )


async def _ended(session: AsyncSession, chunk: Sequence[Event], conditions: Conditions) -> set[int]:
    """`seq` of each step of an operation whose end is asked for as well, and says it all."""
    ended: set[int] = set()
    for operation in list_operations():
        steps = [row for row in chunk if row.type in operation.steps]
        ends = await _near(session, steps, operation, operation.end, _AROUND, conditions)
        ended |= {row.seq for row in steps if row.payload.get(operation.id_key) in ends}
    return ended


async def _askers(session: AsyncSession, shown: Collection[Event]) -> dict[int, Event]:
    askers: dict[int, Event] = {}
    for operation in list_operations():
        ends = [row for row in shown if row.type == operation.end]
        asked = await _near(session, ends, operation, operation.asked, -_AROUND)
        askers |= {row.seq: asked[found] for row in ends if (found := row.payload.get(operation.id_key)) in asked}
    return askers


async def _near(
    session: AsyncSession,
    rows: Sequence[Event],
    operation: OperationEvents,
    event_type: str,
    reach: int,
    conditions: Conditions = (),
) -> dict[str, Event]:
    """Id of an operation -> its event of this type, at most `reach` events after the given ones; negative: before."""
    if not rows:
        return {}
    numbers, objects = [row.seq for row in rows], {row.object_id for row in rows}
    query = select(Event).where(
        *conditions,
        Event.type == event_type,
        Event.object_id.in_(objects),
        and_(Event.seq >= min(numbers) + min(reach, 0), Event.seq <= max(numbers) + max(reach, 0)),
        Event.payload[operation.id_key].as_string().in_({row.payload.get(operation.id_key) for row in rows}),
    )
    return {row.payload[operation.id_key]: row for row in await session.scalars(query)}


async def _names(session: AsyncSession, subject: Subject, shown: Sequence[Event]) -> dict[tuple[str, str], NamedObject]:
    ids: dict[str, set[str]] = {
        "service": {row.payload["service_id"] for row in shown if row.payload.get("service_id")}
    }
    for row in shown:
        if row.object_type and row.object_id:
            ids.setdefault(row.object_type, set()).add(row.object_id)
    return await find_names(session, Scope(subject.team_id), ids)
