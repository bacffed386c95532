"""Which permissions count for which objects."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class ObjectScope:
    """Where an object belongs: always to a team; the others are None where it has none of these, or several.

    As the scope of a grant it is a pattern: None stands for every value.
    """

    team_id: str
    project_id: str | None = None
    environment_id: str | None = None
    system_id: str | None = None

    def covers(self, other: "ObjectScope") -> bool:
        """Whether an object of scope `other` lies within this scope."""
        mine = (self.project_id, self.environment_id, self.system_id)
        theirs = (other.project_id, other.environment_id, other.system_id)
        return self.team_id == other.team_id and all(
            wanted in {None, found} for wanted, found in zip(mine, theirs, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions, and the scope within which they count."""

    scope: ObjectScope
    permissions: frozenset[str]


def team_wide(team_id: str, permissions: Collection[str]) -> tuple[Grant, ...]:
    """Return the grants of a subject with these permissions on everything that a team has."""
    return (Grant(ObjectScope(team_id), frozenset(permissions)),)


async def find_scope(session: AsyncSession, query: Select[*tuple[Any, ...]]) -> ObjectScope | None:
    """Return the scope that a query selects: team, and as far as there are, project, environment and system."""
    row = (await session.execute(query)).one_or_none()
    return None if row is None else ObjectScope(*row)
