"""Migrations on both databases: what an earlier version left unfinished is carried over, and what it needed goes."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.orm import Session

from orca import migrations
from orca.tasks import Task

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


KILLS_APART = 9
DIES = """
import os, shutil, sys
from pathlib import Path
import alembic.command, alembic.config
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url
from orca import migrations
from orca.tasks import Task

old, first, apart = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def die_at(statement, path):
    left = statement
    @event.listens_for(Engine, "before_cursor_execute")
    def count(*_):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
    migrations.upgrade(make_url(f"sqlite:///{path}"))
    os._exit(0)

for statement in range(first, 1000, apart):
    path = old.with_name(f"{statement}.db")
    shutil.copy(old, path)
    child = os.fork()  # all modules are loaded: a fork takes milliseconds, a start of Python a second
    if child == 0:
        die_at(statement, path)
    _, status = os.waitpid(child, 0)
    print(statement, status, flush=True)
    if status == 0:
        break
"""


def test_a_database_of_the_future_is_left_alone_with_a_word(engine: Engine) -> None:
    migrations.upgrade(engine.url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for door in (migrations.upgrade, migrations.upgrade_apart):
        with pytest.raises(SystemExit, match=r"written by a newer Orca \(its schema is 9999"):
            door(engine.url)


@pytest.mark.sampled
@pytest.mark.parametrize("first", range(KILLS_APART))
def test_a_kill_at_any_statement_leaves_the_old_schema_or_the_new(tmp_path: Path, first: int) -> None:
    old = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{old}")
    migrate(engine, "0001")
    engine.dispose()
    argv = [sys.executable, "-c", DIES, str(old), str(first), str(KILLS_APART)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=280)
    tries = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert [status for _, status in tries] == [signal.SIGKILL] * (len(tries) - 1) + [0], done.stderr
    assert tries[-1][0] > 10, "nothing was interrupted"
    *killed, whole = (tmp_path / f"{statement}.db" for statement, _ in tries)
    found = {tuple(read_all(path)): path for path in killed}
    assert found.keys() <= {tuple(read_all(old)), tuple(read_all(whole))}
    for path in [*found.values(), whole]:  # what holds the same goes on in the same way
        engine = create_engine(f"sqlite:///{path}")
        migrations.upgrade(engine.url)
        assert inspect(engine).has_table("task_steps")
        engine.dispose()
        assert read_all(path) != read_all(old)


def read_all(path: Path) -> list[str]:
    """Return all tables and rows as SQL; what a dead process left of a transaction is rolled back by reading."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return list(connection.iterdump())


def test_rows_are_numbered_in_the_order_of_their_ids_and_go_on_from_there(engine: Engine) -> None:
    migrate(engine, "0015")
    add = text(
        "INSERT INTO tasks (id, name, target, payload, state, recoveries, created_at)"
        " VALUES (:id, 'T', 't', '{}', 'queued', 0, '2026-01-01 00:00:00')"
    )
    with engine.begin() as connection:
        for name in ("b", "a", "c"):
            connection.execute(add, {"id": name})
    migrations.upgrade(engine.url)
    with Session(engine) as session, session.begin():
        session.add(Task(id="0", name="T", target="t"))
    with engine.connect() as connection:
        assert list(connection.scalars(text("SELECT id FROM tasks ORDER BY seq"))) == ["a", "b", "c", "0"]


def test_an_ordered_certificate_is_of_the_team_that_has_its_key(engine: Engine) -> None:
    migrate(engine, "0020")
    until = datetime(2030, 1, 1, tzinfo=UTC)
    with engine.begin() as connection:
        insert_uses(connection)
        for name, key_of, route_of in (
            ("kept", "ours", "ours"),
            ("taken", "ours", "others"),
            ("keyless", "", "others"),
        ):
            insert(connection, "ordered_certificates", id=name, hostname=f"{name}.example.org")
            insert(connection, "routes", id=name, team_id=route_of, service_id="image", hostname=f"{name}.example.org",
                   certificate_until=until)  # fmt: skip
            if key_of:
                insert(connection, "secrets", id=name, team_id=key_of, owner_type="ordered_certificate", owner_id=name,
                       sealed=b"")  # fmt: skip
        insert(connection, "ordered_certificates", id="left", hostname="left.example.org")
    migrations.upgrade(engine.url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, team_id FROM ordered_certificates")).all()
        assert {row.id: row.team_id for row in rows} == {
            "kept": "ours",
            "taken": "ours",
            "keyless": "others",
            "left": "",
        }
        ended = connection.scalars(text("SELECT id FROM routes WHERE certificate_until IS NULL")).all()
        assert list(ended) == ["taken"]
    migrate(engine, "0020", back=True)


def test_unfinished_tasks_get_their_place_in_line(engine: Engine) -> None:
    migrate(engine, "0024")
    with engine.begin() as connection:
        insert_uses(connection)
        for name, kind, state, trigger in (
            ("one", "RunDeployment", "queued", "push"),
            ("two", "RunDeployment", "running", "page"),
            ("old", "RunDeployment", "succeeded", "push"),
            ("volume", "DestroyVolume", "queued", ""),
            ("push", "LookAtPush", "queued", ""),
        ):
            insert(connection, "tasks", id=name, name=kind, target=name, state=state, seq=1)
            if trigger:
                insert(connection, "deployments", id=name, team_id="ours", service_id="image", task_id=name, state=state,
                       trigger=trigger, number=ord(name[1]))  # fmt: skip
    migrations.upgrade(engine.url)
    columns = "id, state, lane, priority, team_id, needs, not_before"
    with engine.begin() as connection:
        rows = {row.id: tuple(row)[1:] for row in connection.execute(text(f"SELECT {columns} FROM tasks"))}
        # a process of the earlier version still queues
        connection.execute(
            text(
                "INSERT INTO tasks (id, seq, name, target, payload, state, epoch, recoveries, created_at)"
                " VALUES ('late', 9, 'RunDeployment', 'late', '{}', 'queued', 0, 0, '2026-01-01 00:00:00')"
            )
        )
    assert rows == {
        "one": ("queued", "deploy", 1, "ours", None, None),
        "two": ("running", "deploy", 0, "ours", None, None),
        "old": ("succeeded", "run", 0, "", None, None),
        "volume": ("queued", "maintenance", 0, "", None, None),
        "push": ("queued", "run", 1, "push", None, None),
    }
    with Session(engine) as session:
        late = session.get_one(Task, "late")
        assert (late.lane, late.priority, late.team_id) == ("run", 0, "")
    migrate(engine, "0024", back=True)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM tasks WHERE state IN ('queued', 'running')")) == 5


def test_volumes_of_services_become_mounts_and_names_differ_in_an_environment(engine: Engine) -> None:
    migrate(engine, "0026")
    with engine.begin() as connection:
        insert_uses(connection)
        for slug in ("web", "api"):
            insert(connection, "services", id=slug, slug=slug, team_id="ours", project_id="ours", environment_id="ours")
        for name, called, service, path in (
            ("v1", "data", "web", "/data"),
            ("v2", "data", "api", "/srv"),
            ("v3", "cache", "api", "/cache"),
            ("v4", "data", None, "/old"),
            ("v5", "data", None, "/older"),
            ("v6", "api-data", "web", "/of-api"),
        ):
            insert(connection, "volumes", id=name, name=called, team_id="ours", project_id="ours", service_id=service,
                   path=path, owner="1:1" if name == "v2" else "")  # fmt: skip
        insert(connection, "volumes", id="v7", name="data", team_id="others", project_id="others", path="/data")
    migrations.upgrade(engine.url)
    with engine.connect() as connection:
        volumes = connection.execute(text("SELECT id, environment_id, name, last_name, last_path, owner FROM volumes"))
        assert sorted(tuple(row) for row in volumes) == [
            ("v1", "ours", "data", "data", "/data", ""),
            ("v2", "ours", "api-data-2", "data", "/srv", "1:1"),
            ("v3", "ours", "cache", "cache", "/cache", ""),
            ("v4", "ours", "detached-data", "data", "/old", ""),
            ("v5", "ours", "detached-data-2", "data", "/older", ""),
            ("v6", "ours", "api-data", "api-data", "/of-api", ""),
            ("v7", "others", "data", "data", "/data", ""),
        ]
        rows = connection.execute(text("SELECT service_id, volume_id, name, path, read_only FROM service_mounts"))
        assert sorted((*row[:4], bool(row.read_only)) for row in rows) == [
            ("api", "v2", "data", "/srv", False),
            ("api", "v3", "cache", "/cache", False),
            ("web", "v1", "data", "/data", False),
            ("web", "v6", "api-data", "/of-api", False),
        ]
    with engine.begin() as connection:
        insert(connection, "service_mounts", id="z", team_id="ours", service_id="api", volume_id="v1", name="shared",
               path="/shared")  # fmt: skip
    migrate(engine, "0026", back=True)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, name, service_id, path FROM volumes"))
        assert sorted(tuple(row) for row in rows if row.service_id) == [
            ("v1", "data", "web", "/data"),
            ("v2", "data", "api", "/srv"),
            ("v3", "cache", "api", "/cache"),
            ("v6", "api-data", "web", "/of-api"),
        ]
    migrations.upgrade(engine.url)


def test_members_of_before_stay_as_they_are_and_grants_go_with_them(engine: Engine) -> None:
    migrate(engine, "0031")
    with engine.begin() as connection:
        insert(connection, "users", id="ada", email="ada@example.org")
        insert(connection, "users", id="bob", email="bob@example.org")
        for user, role in (("ada", "owner"), ("bob", "viewer")):
            insert(connection, "memberships", id=user, team_id="ours", user_id=user, role=role)
        insert(connection, "projects", id="shop", team_id="ours", slug="shop")
        for scopes in (["route.create", "service.read"], ["*"], ["service.read"]):
            insert(connection, "api_tokens", id=scopes[0], team_id="ours", user_id="bob", scopes=scopes)
        insert(connection, "hooks", id="hook", team_id="ours", permissions=["service.deploy", "service.update"])
        insert(connection, "hooks", id="old", team_id="ours")
    migrations.upgrade(engine.url)
    with engine.begin() as connection:
        tokens = sa.Table("api_tokens", sa.MetaData(), autoload_with=connection)
        hooks = sa.Table("hooks", sa.MetaData(), autoload_with=connection)
        held = dict(connection.execute(sa.select(tokens.c.id, tokens.c.scopes)).all())
        held |= dict(connection.execute(sa.select(hooks.c.id, hooks.c.permissions)).all())
        assert held == {
            "route.create": ["route.create", "route.share", "service.read"], "*": ["*"], "old": None,
            "service.read": ["service.read"], "hook": ["credential.use", "service.deploy", "service.update"],
        }  # fmt: skip
        found = connection.execute(text("SELECT user_id, role FROM memberships ORDER BY id")).all()
        assert [tuple(row) for row in found] == [("ada", "owner"), ("bob", "viewer")]
        assert connection.scalar(text("SELECT count(*) FROM grants")) == 0
        insert(connection, "users", id="eve", email="eve@example.org")
        insert(connection, "memberships", id="eve", team_id="ours", user_id="eve", role="guest")
        for user in ("bob", "eve"):
            insert(connection, "grants", id=user, team_id="ours", user_id=user, role="member", project_id="shop")
    for values in (
        {"project_id": "shop", "user_id": "bob"}, {"user_id": "bob"}, {"user_id": "no one", "system_id": "local"},
        {"user_id": "ada", "project_id": "shop", "system_id": "local"}, {"user_id": "ada", "project_id": "unknown"},
    ):  # fmt: skip
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            connection.execute(text("PRAGMA foreign_keys = ON")) if engine.dialect.name == "sqlite" else None
            insert(connection, "grants", id="another", team_id="ours", role="viewer", **values)
    migrate(engine, "0031", back=True)
    with engine.connect() as connection:
        assert [*connection.scalars(text("SELECT user_id FROM memberships ORDER BY id"))] == ["ada", "bob"]
    migrations.upgrade(engine.url)


def test_slugs_become_unique_in_projects_and_free_after_the_deletion_of_an_environment(engine: Engine) -> None:
    migrate(engine, "0039")
    with engine.begin() as connection:
        insert_uses(connection)
    migrate(engine, "0040")
    with engine.begin() as connection:
        insert(connection, "environments", id="s", team_id="ours", project_id="ours", slug="staging",
               deleted_at=datetime(2026, 1, 1, tzinfo=UTC))  # fmt: skip
        insert(connection, "environments", id="s2", team_id="ours", project_id="ours", slug="staging")
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        insert(connection, "environments", id="s3", team_id="ours", project_id="ours", slug="staging")
    for project, environment in (("ours", "s2"), ("ours", "ours")):
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            insert(connection, "services", id="new", team_id="ours", project_id=project, environment_id=environment,
                   slug="image")  # fmt: skip
    migrate(engine, "0039", back=True)
    with engine.connect() as connection:
        slugs = connection.execute(text("SELECT id, slug FROM environments ORDER BY id")).all()
        assert [tuple(row) for row in slugs] == [("others", "others"), ("ours", "ours"), ("s", "s"), ("s2", "staging")]
        assert connection.scalar(text("SELECT count(*) FROM services WHERE environment_id = 'ours'")) > 1
