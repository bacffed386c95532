"""The wall around a team's rows: for every table there is, on both databases."""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase, aliased
from sqlalchemy.types import JSON, TypeDecorator
from tests.conftest import ROOT

from orca.db import Base, Database, Reach, TeamOwned, all_teams, now
from orca.features import load_features
from orca.kit.ids import new_id
from orca.systems import LOCAL

load_features()
WITHOUT_WALL = {
    "identity/pages.py": "accounts: users and their sessions",
    "triggers/api.py": "a delivery, until its signature says whose hook it is",
}
INSTANCE_WIDE = {
    "attempts": "counts guesses by address and account",
    "claim": "one row: whether the instance has an owner",
    "event_cursors": "how far a consumer has read the events of all teams",
    "idempotency_keys": "found by a digest of sender, address and key; sealed",
    "instance": "one row about the installation",
    "leases": "which process does a periodic job",
    "sessions": "of users, who may be in several teams; asked for by the user's own id",
    "systems": "machines are set up by the instance's administrators, and services of all teams run there",
    "task_steps": "read by workers only",
    "tasks": "lanes are shared: what a deployment waits for counts the tasks of all teams",
    "tombstones": "ids of what was deleted, which are in no row any more",
    "users": "may be in several teams",
    "workers": "processes",
}
MODELS = {mapper.local_table.name: mapper.class_ for mapper in Base.registry.mappers}
OWNED = {name: model for name, model in MODELS.items() if issubclass(model, TeamOwned)}
OURS, THEIRS = "ours", "theirs"


def test_every_table_belongs_to_a_team_or_says_why_not() -> None:
    assert MODELS.keys() - OWNED.keys() == INSTANCE_WIDE.keys()
    assert {name for name, model in MODELS.items() if "team_id" in model.__table__.columns} - OWNED.keys() == {
        "sessions",
        "tasks",
    }


def _fill(column: Column[Any], team: str, made: Mapping[str, str], numbers: Iterator[int]) -> object:
    """A value for a column of a team's row: a reference to the team's row of that table, or anything of its type."""
    for key in column.foreign_keys:
        return LOCAL if key.column.table.name == "systems" else made.get(key.column.table.name)
    if column.name == "team_id":
        return team
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    kinds = {Boolean: False, DateTime: now(), LargeBinary: b"sealed", JSON: {}, Float: 1.0}
    for type_, value in kinds.items():
        if isinstance(kind, type_):
            return value
    return next(numbers) if isinstance(kind, Integer) else new_id()[-min(36, kind.length or 36) :]


@pytest.fixture
async def rows(db: Database) -> dict[str, dict[str, Any]]:
    """Team -> table -> primary key of its row there."""
    numbers = itertools.count(1000)
    found: dict[str, dict[str, Any]] = {}
    async with db.write() as session:
        for team in (OURS, THEIRS):
            made: dict[str, Any] = {"teams": team}
            for table in Base.metadata.sorted_tables:
                if table.name in OWNED or table.name == "users":
                    values = {column.name: _fill(column, team, made, numbers) for column in table.columns}
                    values |= {"id": team} if table.name == "teams" else {}
                    if table.name == "grants":
                        member = {"team_id": team, "user_id": made["users"]}
                        values |= {**member, "environment_id": None, "system_id": None}
                    await session.execute(insert(table).values(**values))
                    keys = [values[column.name] for column in table.primary_key]
                    made[table.name] = keys[0] if len(keys) == 1 else tuple(keys)
            found[team] = made
    return found


def _key(model: type[DeclarativeBase], key: Any) -> Any:
    columns = inspect(model).primary_key
    return columns[0] == key if len(columns) == 1 else (columns[0] == key[0]) & (columns[1] == key[1])


async def test_a_row_of_another_team_is_neither_selected_nor_got(db: Database, rows: dict[str, dict[str, Any]]) -> None:
    for name, model in OWNED.items():
        own, foreign, other = rows[OURS][name], rows[THEIRS][name], aliased(model)
        async with db.read(OURS) as session:
            assert [inspect(row).identity for row in await session.scalars(select(model))] == [_identity(own)], name
            assert await session.scalar(select(func.count()).select_from(select(model).subquery())) == 1, name
            assert len((await session.execute(select(other))).all()) == 1, name
            column = getattr(model, inspect(model).primary_key[0].key)
            assert len((await session.execute(select(column))).all()) == 1, name
            assert await session.scalar(select(select(model).where(_key(model, foreign)).exists())) is False, name
        async with db.read(OURS) as session:
            assert await session.get(model, foreign) is None, name
            assert await session.get(model, foreign, with_for_update=True) is None, name
            assert await session.get(model, own) is not None, name


def _identity(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


async def test_a_row_of_another_team_is_neither_changed_nor_deleted(
    db: Database, rows: dict[str, dict[str, Any]]
) -> None:
    for name, model in OWNED.items():
        column = inspect(model).primary_key[0]
        for key, number in ((rows[THEIRS][name], 0), (rows[OURS][name], 1)):
            async with db.open_write(OURS) as session:
                changed = await session.execute(update(model).where(_key(model, key)).values({column.name: column}))
                assert changed.rowcount == number, name
                if name in {"events", "log_chunks", "deployment_steps", "targets"}:  # to which nothing refers
                    deleted = await session.execute(delete(model).where(_key(model, key)))
                    assert deleted.rowcount == number, name


async def test_events_of_no_team_are_behind_no_wall(db: Database, rows: dict[str, dict[str, Any]]) -> None:
    event = OWNED["events"]
    async with db.write() as session:
        await session.execute(update(event).where(event.team_id == THEIRS).values(team_id=None))
    async with db.read(OURS) as session:
        assert len((await session.scalars(select(event))).all()) == 2


async def test_the_wall_is_looked_over_only_where_it_is_said(db: Database, rows: dict[str, dict[str, Any]]) -> None:
    route = OWNED["routes"]
    async with db.read(OURS) as session:
        with all_teams(session):
            assert len((await session.scalars(select(route))).all()) == 2
        assert len((await session.scalars(select(route))).all()) == 1


WHOLE_TEAM = {
    "api_tokens": "of users; their own are looked for by their id",
    "certificates": "serve any service of the team",
    "dns_credentials": "prove names for any service of the team",
    "dns_records": "of those credentials",
    "git_credentials": "fetch the source of any service of the team",
    "grants": "are given and taken by those who may in the whole team",
    "held_names": "are looked up over all teams, to refuse what another project holds",
    "memberships": "of users in the whole team",
    "ordered_certificates": "serve any service of the team",
    "registry_credentials": "fetch the image of any service of the team",
    "secrets": "are found by their owner, which is looked up first",
    "teams": "the team itself",
    "webhook_deliveries": "of webhooks",
    "webhooks": "send events of the whole team",
}
"""Tables whose rows no project has; their doors ask for a permission in the whole team."""


@pytest.fixture
async def two_projects(db: Database, rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows of both teams as those of two projects of ours; what names its owner without a reference, too."""
    for made in rows.values():
        named = {"hooks": "services", "uploads": "services", "pushes": "hooks", "events": "services"}
        for name, owner in named.items():
            column = {"pushes": "hook_id", "events": "object_id"}.get(name, "service_id")
            model = OWNED[name]
            async with db.write() as session:
                own = update(model).where(_key(model, made[name]))
                await session.execute(own.values({column: made[owner]}))
    async with db.write() as session:
        await session.execute(delete(OWNED["grants"]).where(OWNED["grants"].team_id == THEIRS))  # it refers to the team
        for name, model in OWNED.items():
            if "team_id" in model.__table__.columns and name != "grants":
                await session.execute(update(model).where(model.team_id == THEIRS).values(team_id=OURS))
    return rows


@pytest.mark.parametrize("part", ["projects", "environments"])
async def test_a_narrower_wall_shows_what_lies_within(
    db: Database, two_projects: dict[str, dict[str, Any]], part: str
) -> None:
    within, beside = two_projects[OURS], two_projects[THEIRS]
    other = {"environments": "projects", "projects": "environments"}[part]
    for name, model in OWNED.items():
        if name in WHOLE_TEAM or (part, name) == ("environments", "variables"):  # that one is of the project
            continue
        for reach, seen in (
            (Reach(**{part: (within[part],)}), [within]), (Reach(**{part: (within[part], beside[part])}), [within, beside]),
            (Reach(**{other: (within[part],)}), []), (Reach(), []), (Reach(systems=("elsewhere",)), []),
            (Reach(systems=(LOCAL,)), [within, beside]),
        ):  # fmt: skip
            if name == "variables" and seen == [within, beside] and reach.systems:
                continue
            async with db.read(OURS, reach) as session:
                found = {inspect(row).identity for row in await session.scalars(select(model))}
                assert found == {_identity(made[name]) for made in seen}, (name, reach)
                column, wanted = getattr(model, inspect(model).primary_key[0].key), aliased(model)
                assert len((await session.execute(select(column))).all()) == len(seen), (name, reach)
                assert len((await session.execute(select(wanted))).all()) == len(seen), (name, reach)
                assert await session.scalar(select(func.count()).select_from(select(model).subquery())) == len(seen)


async def test_a_narrower_wall_hides_nothing_of_the_whole_team(
    db: Database, two_projects: dict[str, dict[str, Any]]
) -> None:
    for name in WHOLE_TEAM:
        async with db.read(OURS, Reach()) as session:
            assert (await session.scalars(select(OWNED[name]))).all(), name


def test_every_table_says_what_of_it_lies_within_a_part_of_the_team() -> None:
    silent = {name for name, model in OWNED.items() if model.is_within.__func__ is TeamOwned.is_within.__func__}
    assert silent == WHOLE_TEAM.keys()


async def test_sessions_without_a_team_see_all(db: Database, rows: dict[str, dict[str, Any]]) -> None:
    async with db.read() as session:
        for name, model in OWNED.items():
            assert len((await session.scalars(select(model))).all()) == 2, name


async def test_a_subject_of_no_team_sees_nothing(db: Database, rows: dict[str, dict[str, Any]]) -> None:
    async with db.read("") as session:
        for name, model in OWNED.items():
            assert (await session.scalars(select(model))).all() == [], name


def test_doors_open_no_session_without_the_wall() -> None:
    """What doors call may: the proxy's configuration is made of the routes of all teams."""
    doors = [
        path
        for path in (ROOT / "src/orca/features").rglob("*.py")
        if re.search(r"[/_](api|pages)[/.]", path.as_posix().partition("/features/")[2])
    ]
    open_ones = {
        path.as_posix().partition("/features/")[2]
        for path in doors
        if re.search(r"db\.(read|write|snapshot|open_write)\(\)", path.read_text())
    }
    assert open_ones == WITHOUT_WALL.keys()


def test_features_ask_for_rows_by_their_models() -> None:
    """Statements about bare tables have no wall."""
    assert [path for path in (ROOT / "src/orca/features").rglob("*.py") if "__table__" in path.read_text()] == []
