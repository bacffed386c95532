"""Which permissions count for which objects."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Reach


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

    @property
    def is_whole_team(self) -> bool:
        """Whether it is that of the team as a whole."""
        return self.project_id is self.environment_id is self.system_id is None


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions, and the scope within which they count: a team, or one project, environment or system of it."""

    scope: ObjectScope
    permissions: frozenset[str]
    is_own: bool = False
    """Permissions for what is the subject's own, such as API tokens: they do not show which objects the team has."""


def team_wide(team_id: str, permissions: Collection[str]) -> tuple[Grant, ...]:
    """Return the grants of a subject with these permissions on everything that a team has."""
    return (Grant(ObjectScope(team_id), frozenset(permissions)),)


def permissions_within(grants: Iterable[Grant], scope: ObjectScope) -> frozenset[str]:
    """Return the permissions for an object that grants give together."""
    return frozenset().union(*(grant.permissions for grant in grants if grant.scope.covers(scope)))


def reach_of(scopes: Iterable[ObjectScope]) -> Reach | None:
    """Return the part of a team that these scopes cover together; None for all of it.

    A scope that names two of project, environment and system at once counts for nothing here.
    """
    narrow = [(scope.project_id, scope.environment_id, scope.system_id) for scope in scopes]
    if any(ids == (None, None, None) for ids in narrow):
        return None
    single = [ids for ids in narrow if ids.count(None) == 2]  # noqa: PLR2004 - all but one of three
    projects, environments, systems = (tuple(sorted({ids[place] or "" for ids in single} - {""})) for place in range(3))
    return Reach(projects, environments, systems)


async def find_scope(session: AsyncSession, query: Select[*tuple[Any, ...]]) -> ObjectScope | None:
    """Return the scope that a query selects: team, and as far as there are, project, environment and system."""
    row = (await session.execute(query)).one_or_none()
    return None if row is None else ObjectScope(*row)
