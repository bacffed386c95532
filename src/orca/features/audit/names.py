"""What the ids in events are called today. Features above say so for their own things; deleted ones keep a name."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.identity.models import User
from orca.web.guard import Scope


@dataclass(frozen=True, slots=True)
class Named:
    """A name, and the page of the thing; without an address once it is deleted."""

    name: str
    href: str = ""


class Directory(Protocol):
    """Knows the names of one kind of object in a team."""

    async def find_names(self, session: AsyncSession, scope: Scope, ids: Collection[str]) -> Mapping[str, Named]:
        """Id -> name, of those that are there."""
        ...

    async def find_ids(self, session: AsyncSession, scope: Scope, text: str) -> Collection[str]:
        """Ids of those whose name holds the text."""
        ...


directories: dict[str, Directory] = {}
"""`object_type` of events -> who knows its names."""


async def find_names(
    session: AsyncSession, scope: Scope, wanted: Mapping[str, Collection[str]]
) -> dict[tuple[str, str], Named]:
    """(object type, id) -> name."""
    people = await _find_people(session, wanted["user"]) if wanted.get("user") else {}
    found = {("user", identifier): name for identifier, name in people.items()}
    for object_type, ids in wanted.items():
        directory = directories.get(object_type)
        if directory is not None and ids:
            names = await directory.find_names(session, scope, ids)
            found |= {(object_type, identifier): name for identifier, name in names.items()}
    return found


async def find_named(session: AsyncSession, scope: Scope, text: str) -> list[str]:
    """Ids of everything whose name holds the text."""
    found = [await directory.find_ids(session, scope, text) for directory in directories.values()]
    return [identifier for ids in found for identifier in ids]


async def _find_people(session: AsyncSession, ids: Collection[str]) -> dict[str, Named]:
    """E-mails; whoever may see the event may see whom it is about."""
    rows = await session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return {identifier: Named(email) for identifier, email in rows}
