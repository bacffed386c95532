"""A wall around the rows of one team: a session that has it loads, changes and deletes no others, whatever is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, event, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.sql.functions import FunctionElement

_WALL = "wall"


class TeamOwned:
    """A mapped class whose rows belong to a team. One without `team_id` overrides `is_of_team`."""

    team_id: Any

    @classmethod
    def is_of_team(cls, team_id: str) -> ColumnElement[bool]:
        """Select the rows of a team."""
        column = literal("") if cls is TeamOwned else cls.team_id  # SQLAlchemy asks the mixin, too, to find the values
        return Unindexed(column) == team_id


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


class LimitedSession(Session):
    """A session with a wall, unless its team is None."""


def limit_to_team(session: AsyncSession, team_id: str) -> None:
    """Put up the wall: from now on the session sees only rows of this team, and those that belong to none."""
    session.info[_WALL] = with_loader_criteria(TeamOwned, lambda cls: cls.is_of_team(team_id), include_aliases=True)


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
