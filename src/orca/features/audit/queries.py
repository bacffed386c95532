"""Reads of the audit trail, through the eyes of who asks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database
from orca.events import Event, follow
from orca.web.guard import Subject


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; what is None does not matter."""

    type: str | None = None
    object_type: str | None = None
    object_id: str | None = None


async def list_events(
    session: AsyncSession, subject: Subject, wanted: EventFilter, *, limit: int, before: int | None = None
) -> list[Event]:
    """Newest first; `limit + 1` rows, so that one sees if there are more. `before` is a `seq`."""
    query = select(Event).where(_visible_to(subject)).order_by(Event.seq.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Event.seq < before)
    return list(await session.scalars(_narrow(query, wanted)))


async def find_last_seq(session: AsyncSession) -> int:
    """The newest event's number, 0 when nothing ever happened."""
    return await session.scalar(select(Event.seq).order_by(Event.seq.desc()).limit(1)) or 0


async def count_events(session: AsyncSession) -> int:
    """How many events there are, whoever may see them."""
    return await session.scalar(select(func.count()).select_from(Event)) or 0


async def follow_events(db: Database, subject: Subject, *, after: int) -> AsyncIterator[Event]:
    """What the subject may see, from `after` on, as it happens."""
    is_admin = subject.is_instance_admin
    async for event in follow(db, after=after, team_id=None if is_admin else subject.team_id):
        if event.team_id in {None, subject.team_id}:
            yield event


def _visible_to(subject: Subject) -> ColumnElement[bool]:
    """The team's events; instance admins also see those of no team, such as sign-ins."""
    if subject.is_instance_admin:  # written so that the newest rows are walked, instead of two indexes being merged
        return func.coalesce(Event.team_id, subject.team_id) == subject.team_id
    return Event.team_id == subject.team_id


def _narrow(query: Select[Event], wanted: EventFilter) -> Select[Event]:
    for column, value in (
        (Event.type, wanted.type),
        (Event.object_type, wanted.object_type),
        (Event.object_id, wanted.object_id),
    ):
        if value is not None:
            query = query.where(column == value)
    return query
