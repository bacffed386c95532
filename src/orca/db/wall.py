"""A wall around the rows of one team: a session that has it loads, changes and deletes no others, whatever is asked.

A session for reads may have a narrower one, around what lies within some projects, environments and systems.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, column, event, literal, or_, select, table, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql.functions import FunctionElement

_WALL = "wall"


@dataclass(frozen=True, slots=True)
class Reach:
    """A part of a team: what lies within one of these projects, environments or systems, by their ids."""

    projects: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()

    def holds(self, project: Any, environment: Any, system: Any) -> ColumnElement[bool]:
        """Select the rows whose columns name one of them."""
        return or_(project.in_(self.projects), environment.in_(self.environments), system.in_(self.systems))

    def holds_service(self, reference: Any) -> ColumnElement[bool]:
        """Select the rows whose service, of which `reference` holds the id, lies within."""
        return Unindexed(reference).in_(self.select_services(SERVICES.c.id))

    def select_services(self, found: ColumnElement[Any]) -> Any:
        """Select a column of the services that lie within."""
        named = SERVICES.c
        return select(found).where(self.holds(named.project_id, named.environment_id, named.system_id))


SERVICES = table("services", column("id"), column("project_id"), column("environment_id"), column("system_id"))
"""By its services everything else lies within projects, environments and systems; also rows of features below them."""
ENVIRONMENTS = table("environments", column("id"), column("project_id"))
"""For features below that of projects."""


class TeamOwned:
    """A mapped class whose rows belong to a team. One without `team_id` overrides `is_of_team`.

    One whose rows belong to projects, environments or systems of the team overrides `is_within`, too.
    """

    team_id: Any

    @classmethod
    def is_of_team(cls, team_id: str) -> ColumnElement[bool]:
        """Select the rows of a team."""
        owner = literal("") if cls is TeamOwned else cls.team_id  # SQLAlchemy asks the mixin, too, to find the values
        return Unindexed(owner) == team_id

    @classmethod
    def is_within(cls, reach: Reach) -> ColumnElement[bool]:
        """Select the rows that lie within a part of the team; all, where they belong to the team as a whole."""
        nothing = literal("")
        return reach.holds(nothing, nothing, nothing) if cls is TeamOwned else true()

    @classmethod
    def is_within_these(cls, projects: Any, environments: Any, systems: Any) -> ColumnElement[bool]:
        """Call `is_within` with what SQLAlchemy replaces by parameters, so that the statement can be cached."""
        return cls.is_within(Reach(projects, environments, systems))


class Unindexed(FunctionElement[str]):
    """A column that SQLite does not look for an index for.

    It takes every index for equally good, and would read all rows of a team instead of those of one service.
    """

    inherit_cache = True


@compiles(Unindexed)
def _as_it_is(element: Unindexed, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(Unindexed, "sqlite")
def _without_index(element: Unindexed, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def is_of_parent(reference: Any, parent: type[DeclarativeBase], team_id: str) -> ColumnElement[bool]:
    """Select rows whose parent, a row with `id` and `team_id` that `reference` holds the id of, is of a team."""
    table = parent.__table__.alias()
    found = select(table.c.id).where(table.c.id == reference, table.c.team_id == team_id)
    return found.correlate_except(table).exists()


def is_of_parent_within(reference: Any, parent: type[DeclarativeBase], reach: Reach) -> ColumnElement[bool]:
    """Select rows whose parent, a row with `id` and `service_id` that `reference` holds the id of, lies within."""
    above = parent.__table__.alias()
    services = reach.select_services(SERVICES.c.id)
    found = select(above.c.id).where(above.c.id == reference, above.c.service_id.in_(services))
    return found.correlate_except(above).exists()


class LimitedSession(Session):
    """A session with a wall, unless its team is None."""


def limit_to_team(session: AsyncSession, team_id: str, reach: Reach | None = None) -> None:
    """Put up the wall: from now on the session sees only rows of this team, and those that belong to none.

    With `reach`, of what belongs to projects, environments or systems only what lies within it.
    """
    if reach is None:
        session.info[_WALL] = with_loader_criteria(TeamOwned, lambda cls: cls.is_of_team(team_id), include_aliases=True)
        return
    projects, environments, systems = reach.projects, reach.environments, reach.systems
    session.info[_WALL] = with_loader_criteria(
        TeamOwned,
        lambda cls: cls.is_of_team(team_id) & cls.is_within_these(projects, environments, systems),
        include_aliases=True,
    )


@contextmanager
def all_teams(session: AsyncSession | Session) -> Iterator[None]:
    """Look over the wall: for decisions about what all teams share, such as who has a hostname."""
    wall = session.info.pop(_WALL, None)
    try:
        yield
    finally:
        if wall is not None:
            session.info[_WALL] = wall


@event.listens_for(LimitedSession, "do_orm_execute")
def _keep_within(state: ORMExecuteState) -> None:
    wall = state.session.info.get(_WALL)
    if wall is not None and (state.is_select or state.is_update or state.is_delete):
        state.statement = state.statement.options(wall)
