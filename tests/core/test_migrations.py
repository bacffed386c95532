"""Migrations on both databases: what an earlier version left unfinished is carried over, and what it needed goes."""

import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from orca import migrations

pytestmark = pytest.mark.slow


@pytest.fixture
def engine(database_url: str | None, tmp_path: Path):
    url = (database_url or f"sqlite:///{tmp_path}/orc.db").replace("postgresql://", "postgresql+psycopg://")
    made = create_engine(url)
    yield made
    made.dispose()


def migrate(engine: Engine, revision: str, *, back: bool = False) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if back else command.upgrade)(config, revision)
        connection.commit()


def test_unfinished_tasks_are_carried_over(engine: Engine) -> None:
    migrate(engine, "0001")
    with engine.begin() as connection:
        at = "2026-01-01 00:00:00"
        for name, target, state in (("DestroyVolume", "v1", "queued"), ("DestroyVolume", "v2", "succeeded")):
            connection.execute(
                text(
                    "INSERT INTO tasks (id, name, target, state, created_at) VALUES (:id, :name, :target, :state, :at)"
                ),
                {"id": target, "name": name, "target": target, "state": state, "at": at},
            )
        connection.execute(
            text("INSERT INTO workers (id, host, started_at, seen_at) VALUES ('local', 'h', :at, :at)"), {"at": at}
        )
    migrations.upgrade(engine.url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT target, CAST(payload AS TEXT) FROM tasks ORDER BY target")).all()
        assert [tuple(row) for row in rows] == [("v1", '{"volume_id": "v1"}'), ("v2", "{}")]
        assert connection.scalar(text("SELECT count(*) FROM workers")) == 0


def test_tables_of_the_earlier_engine_go(engine: Engine) -> None:
    migrate(engine, "0001")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("CREATE SCHEMA dbos"))
        place = "dbos." if engine.dialect.name == "postgresql" else ""
        for table in ("dbos_migrations", "workflow_status"):
            connection.execute(text(f"CREATE TABLE {place}{table} (version INTEGER)"))
    migrations.upgrade(engine.url)
    names = inspect(engine).get_table_names()
    assert "workflow_status" not in names
    assert "dbos" not in inspect(engine).get_schema_names()


def test_a_second_running_task_of_one_target_is_refused(engine: Engine) -> None:
    migrations.upgrade(engine.url)
    running = text(
        "INSERT INTO tasks (id, name, target, payload, state, recoveries, created_at)"
        " VALUES (:id, 'T', 'one', '{}', 'running', 0, '2026-01-01 00:00:00')"
    )
    with engine.begin() as connection:
        connection.execute(running, {"id": "a"})
    with pytest.raises(Exception, match=r"(?i)unique"), engine.begin() as connection:
        connection.execute(running, {"id": "b"})


USES = [
    ("one", "token", ["https://Git.example.org/a.git", "https://git.example.org:443/b.git"], "git.example.org"),
    ("port", "token", ["https://git.example.org:8443/a.git"], "git.example.org:8443"),
    ("scp", "ssh", ["git@git.example.org:a/b.git", "ssh://git@git.example.org:22/c.git"], "git.example.org"),
    ("ssh-port", "ssh", ["ssh://git@[2001:DB8::0:1]:2222/a.git"], "[2001:db8::1]:2222"),
    ("two", "token", ["https://git.example.org/a.git", "https://evil.example/a.git"], ""),
    ("useless", "token", ["git@git.example.org:a/b.git"], ""),
    ("unused", "token", [], ""),
    ("deleted", "token", ["https://gone.example/a.git"], ""),
    ("theirs", "token", ["https://their.example/a.git"], ""),
]


def insert(connection: Connection, into: str, **values: object) -> None:
    """A row whose other columns are as empty as they may be."""
    table = sa.Table(into, sa.MetaData(), autoload_with=connection)
    empty = {sa.JSON: {}, sa.String: "", sa.Text: "", sa.Integer: 0, sa.Boolean: False, sa.Float: 0.0}
    for column in table.columns:
        if not column.nullable and column.server_default is None and column.name not in values:
            kinds = [value for kind, value in empty.items() if isinstance(column.type, kind)]
            values[column.name] = kinds[0] if kinds else datetime(2026, 1, 1, tzinfo=UTC)
    connection.execute(table.insert().values(**values))


def insert_uses(connection: Connection) -> None:
    for team in ("ours", "others"):
        insert(connection, "teams", id=team, slug=team)
        insert(connection, "projects", id=team, team_id=team, slug=team)
        insert(connection, "environments", id=team, team_id=team, project_id=team, slug=team)
    insert(connection, "services", id="image", team_id="ours", project_id="ours", environment_id="ours", slug="image",
           source={"type": "image", "image": "nginx"})  # fmt: skip
    for name, kind, repositories, _ in USES:
        insert(connection, "git_credentials", id=name, team_id="ours", name=name, kind=kind)
        team = "others" if name == "theirs" else "ours"
        for number, repository in enumerate(repositories):
            insert(
                connection, "services", id=f"{name}-{number}", slug=f"{name}-{number}", team_id=team, project_id=team,
                environment_id=team, deleted_at=datetime(2026, 1, 1, tzinfo=UTC) if name == "deleted" else None,
                source={"type": "git", "repository": repository, "credential_id": name},
            )  # fmt: skip


def test_a_credential_gets_the_one_host_it_is_used_at(engine: Engine) -> None:
    migrate(engine, "0004")
    with engine.begin() as connection:
        insert_uses(connection)
    migrations.upgrade(engine.url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, host FROM git_credentials")).all()
        assert {row.id: row.host for row in rows} == {name: host for name, _, _, host in USES}
    migrate(engine, "0004", back=True)
    with engine.connect() as connection:
        assert "host" not in [column["name"] for column in inspect(connection).get_columns("git_credentials")]
        assert connection.scalar(text("SELECT count(*) FROM git_credentials")) == len(USES)


def test_an_up_to_date_database_is_left_alone(engine: Engine) -> None:
    migrations.upgrade_apart(engine.url)
    assert inspect(engine).has_table("task_steps")
    migrations.upgrade_apart(engine.url)


DIES = """
import os, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url
from orca import migrations
left = int(sys.argv[2])
@event.listens_for(Engine, "before_cursor_execute")
def die(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
migrations.upgrade(make_url(f"sqlite:///{sys.argv[1]}"))
"""


def test_a_database_of_the_future_is_left_alone_with_a_word(engine: Engine) -> None:
    migrations.upgrade(engine.url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for door in (migrations.upgrade, migrations.upgrade_apart):
        with pytest.raises(SystemExit, match=r"written by a newer Orca \(its schema is 9999"):
            door(engine.url)


def test_a_kill_at_any_statement_leaves_the_old_schema_or_the_new(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{old}")
    migrate(engine, "0001")
    engine.dispose()
    for statement in range(500):
        path = tmp_path / f"{statement}.db"
        shutil.copy(old, path)
        killed = subprocess.run([sys.executable, "-c", DIES, str(path), str(statement)]).returncode != 0
        engine = create_engine(f"sqlite:///{path}")
        migrations.upgrade(engine.url)
        assert inspect(engine).has_table("task_steps")
        engine.dispose()
        assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
        path.unlink()
        if not killed:
            assert statement > 10, "nothing was interrupted"
            return
    raise AssertionError("the migration never came to its end")
