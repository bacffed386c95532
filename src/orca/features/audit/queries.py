"""Reads of the audit trail, through the eyes of who asks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database, all_teams
from orca.db.filters import narrow
from orca.events import Event, walk_chain
from orca.events.feed import follow
from orca.features.audit.rules import FILE_NAME, Checkpoint, Sign, find_forged, read_checkpoints
from orca.features.audit.schemas import EventFilter
from orca.settings import Settings
from orca.web.guard import Subject


async def list_events(session: AsyncSession, subject: Subject, wanted: EventFilter) -> list[Event]:
    """Newest first; one more than asked for, so that one sees if there are more. The cursor is a `seq`."""
    query = select(Event).where(visible_to(subject)).order_by(Event.seq.desc()).limit(wanted.limit + 1)
    if wanted.cursor is not None:
        query = query.where(Event.seq < int(wanted.cursor))
    return list(await session.scalars(narrow(query, Event, wanted, {"since": Event.at, "until": Event.at})))


async def find_last_seq(session: AsyncSession) -> int:
    """The newest event's number, 0 when nothing ever happened."""
    newest = await find_newest(session)
    return newest[0] if newest else 0


async def follow_events(db: Database, subject: Subject, *, after: int) -> AsyncIterator[Event]:
    """What the subject may see, from `after` on, as it happens."""
    is_admin, reach = subject.is_instance_admin, subject.reach("event.read")
    team = subject.team_id if reach is not None or not is_admin else None
    async for event in follow(db, after=after, team_id=team, reach=reach):
        if event.team_id in {None, subject.team_id}:
            yield event


async def find_newest(session: AsyncSession) -> tuple[int, str] | None:
    """Number and hash of the newest event of all teams."""
    query = select(Event.seq, Event.hash).order_by(Event.seq.desc()).limit(1)
    with all_teams(session):  # else all that others did since would be read to find the last one of this team
        row = (await session.execute(query)).one_or_none()
    return None if row is None else (row.seq, row.hash)


async def find_hash(session: AsyncSession, seq: int) -> str | None:
    """The hash of one event, if it is there."""
    return await session.scalar(select(Event.hash).where(Event.seq == seq))


@dataclass(frozen=True, slots=True)
class Trail:
    """What a walk over the whole trail found. `problem` is empty when all is as it was."""

    events: int
    checkpoints: int
    first_broken: int | None = None
    problem: str = ""


def load_checkpoints(settings: Settings) -> list[Checkpoint | None]:
    """What the file says; see `rules.read_checkpoints`. Call it before the events are read, which only grow. Blocks."""
    path = settings.data_dir / FILE_NAME
    return read_checkpoints(path.read_text("latin-1")) if path.exists() else []  # any byte is a letter of it


async def verify_trail(session: AsyncSession, sign: Sign, checkpoints: Sequence[Checkpoint | None]) -> Trail:
    """Prove every event against the one before it, and all of them against what was signed outside the database."""
    forged = await asyncio.to_thread(find_forged, sign, checkpoints)
    told = {point.seq: point for point in checkpoints[: forged - 1 if forged else None] if point is not None}
    events, broken, problem = 0, None, ""
    async for link in walk_chain(session):
        events += 1
        checkpoint = told.pop(link.seq, None)
        if broken is None and not link.holds:
            broken, problem = link.seq, f"Event {link.seq} was changed, or the one before it is gone."
        elif broken is None and checkpoint is not None and checkpoint.hash != link.hash:
            broken, problem = link.seq, f"Event {link.seq} is not the one that stood there on {checkpoint.at}: {_WAYS}."
    if broken is None and told:
        first = told[min(told)]
        broken, problem = first.seq, f"Event {first.seq}, which was there on {first.at}, is gone: {_WAYS}."
    if not problem and forged:
        problem = f"Line {forged} of {FILE_NAME} does not carry Orca's signature in this place."
    return Trail(events, len(checkpoints), broken, problem)


_WAYS = "the end was cut off or rewritten, or an older database was put back"


def visible_to(subject: Subject) -> ColumnElement[bool]:
    """The team's events; instance admins also see those of no team, such as sign-ins."""
    if subject.is_instance_admin:  # written so that the newest rows are walked, instead of two indexes being merged
        return func.coalesce(Event.team_id, subject.team_id) == subject.team_id
    return Event.team_id == subject.team_id
