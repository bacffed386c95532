"""A database that is away, locked, full or read-only: 503 with a reason at every door, and well again by itself."""

import asyncio
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.engine import make_url
from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app
from tests.postgres import Server

from orca.db import DATABASE_AWAY, Database, DatabaseAway
from orca.db import failures as causes
from orca.db.failures import cause_of
from orca.settings import parse_database_url

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

READY_SECONDS = 3.0
ANSWER_SECONDS = 29.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB that can be filled to its last byte."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server.create()
    made.start()
    yield made
    made.remove()


@asynccontextmanager
async def instance(data_dir: Path, url: str | None = None) -> AsyncIterator[FastAPI]:
    async with running_app(make_settings(data_dir, database_url=url)) as app:
        await claim(app)
        yield app


async def check_doors(app: FastAPI, reason: str, *, reads: bool) -> None:
    """Every kind of door, at the same time."""
    async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as client, client_of(app) as anonymous:
        began = time.monotonic()
        ready, write, hook, page, read = await asyncio.gather(
            _timed(client.get("/api/health/ready")),
            client.post("/api/v1/projects", json={"name": f"project {began}"}),
            anonymous.post("/api/v1/hooks/unknown", json={}),
            anonymous.post(
                "/login", data={"email": "a@example.org", "password": "b"},
                headers={"Accept": "text/html", "Origin": "http://localhost"},
            ),
            client.get("/api/v1/projects"),
        )  # fmt: skip
        assert time.monotonic() - began < ANSWER_SECONDS
        answer, seconds = ready
        assert (answer.status_code, seconds < READY_SECONDS) == (503, True), (answer.text, seconds)
        for refused in (write, hook, *([] if reads else [read])):
            _check_problem(refused, reason)
        assert (page.status_code, page.headers["content-type"][:9]) == (503, "text/html"), page.text[-500:]
        assert reason in page.text
        assert "Retry-After" in page.headers
        assert not reads or read.status_code == 200


async def _timed(call) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return await call, time.monotonic() - began


def _check_problem(answer: httpx.Response, reason: str) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "database-unavailable"), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert reason in problem["detail"], problem
    assert problem["hint"]


async def check_well(app: FastAPI, seconds: float = 30) -> None:
    async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as client, asyncio.timeout(seconds):
        number = 0
        while True:
            ready, number = await client.get("/api/health/ready"), number + 1
            made = await client.post("/api/v1/projects", json={"name": f"well {number} {time.monotonic_ns()}"})
            if (ready.status_code, made.status_code) == (200, 201):
                return
            await asyncio.sleep(0.3)


async def test_a_locked_file_is_said_at_every_door(tmp_path: Path) -> None:
    async with instance(tmp_path / "data") as app:
        other = sqlite3.connect(tmp_path / "data" / "orc.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await check_doors(app, "Another process holds the database", reads=True)
        other.execute("ROLLBACK")
        other.close()
        await check_well(app)


async def test_a_full_disk_is_said_at_every_door(small_disk: Path) -> None:
    async with instance(small_disk / "data") as app:
        filler = (small_disk / "filler").open("wb", buffering=0)
        with pytest.raises(OSError, match="No space"):
            while True:
                filler.write(bytes(4096))
        await check_doors(app, "The disk of the database is full", reads=True)
        filler.close()
        (small_disk / "filler").unlink(missing_ok=True)
        await check_well(app)


def _stop(server: Server) -> Callable[[], None]:
    server.stop()
    return server.start


def _freeze(server: Server) -> Callable[[], None]:
    server.signal(signal.SIGSTOP)
    return lambda: server.signal(signal.SIGCONT)


def _demote(server: Server) -> Callable[[], None]:
    reload = "SELECT pg_reload_conf()"
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on", reload)
    return lambda: server.sql("SET default_transaction_read_only = off",
                              "ALTER SYSTEM RESET default_transaction_read_only", reload)  # fmt: skip


def _lock(server: Server) -> Callable[[], None]:
    other = psycopg.connect(server.url)
    other.execute("LOCK TABLE projects, attempts, hooks, leases IN ACCESS EXCLUSIVE MODE")
    return other.close


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("hurt", "reason", "reads"),
    [
        (_stop, "The database does not answer", False),
        (_freeze, "The database does not answer", False),
        (_demote, "The database takes no writes", True),
        (_lock, "Another process holds the database", False),
    ],
)
async def test_what_ails_a_server_is_said_at_every_door(
    server: Server, postgres_free: str, tmp_path: Path, hurt: Callable[[Server], Callable[[], None]], reason: str,
    reads: bool,
) -> None:  # fmt: skip
    async with instance(tmp_path / "data", postgres_free) as app:
        mend = hurt(server)
        try:
            await check_doors(app, reason, reads=reads)
        finally:
            mend()
        await check_well(app)


@pytest.fixture
def postgres_free(server: Server) -> str:
    """The one database of that server, empty."""
    server.sql("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return server.url


@pytest.mark.postgres
async def test_after_a_failover_writes_heal_by_themselves(server: Server, postgres_free: str, tmp_path: Path) -> None:
    standby = Server.copy_of(server)
    standby.start()
    two = f"postgresql://orc@127.0.0.1:{server.port},127.0.0.1:{standby.port}/postgres"
    try:
        async with instance(tmp_path / "data", two) as app:
            await check_well(app)
            standby.promote()
            mend = _demote(server)  # it lives on, with every connection of the pool
            try:
                await check_well(app, seconds=20)
                async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as client:
                    for number in range(20):
                        made = await client.post("/api/v1/projects", json={"name": f"after {number}"})
                        assert made.status_code == 201, made.text
            finally:
                mend()
            with psycopg.connect(standby.url) as connection:
                assert connection.execute("SELECT count(*) FROM projects WHERE name LIKE 'after %'").fetchone() == (20,)
    finally:
        standby.remove()


async def test_a_file_that_cannot_be_written_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "orc.db"
    db = Database(make_url(f"sqlite+aiosqlite:///{path}"))
    async with db.write() as session:
        await session.execute(text("CREATE TABLE numbers (number INTEGER)"))
    await db.close()
    db = Database(make_url(f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true"))
    with pytest.raises(DatabaseAway, match="takes no writes"):
        async with db.write() as session:
            await session.execute(text("INSERT INTO numbers VALUES (1)"))
    async with db.read() as session:
        assert (await session.execute(text("SELECT count(*) FROM numbers"))).scalar() == 0
    await db.close()


async def test_a_queue_behind_a_locked_file_says_what_holds_it_up(tmp_path: Path) -> None:
    locked, busy = (Database(make_url(f"sqlite+aiosqlite:///{tmp_path}/{name}.db")) for name in ("locked", "busy"))
    other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def write(db: Database, seconds: float = 0) -> causes.Cause | None:
        try:
            async with db.write() as session:
                await session.execute(text("SELECT 1"))
                await asyncio.sleep(seconds)
        except DATABASE_AWAY as error:
            return db.explain(error)
        return None

    behind_another_process, behind_ourselves = await asyncio.gather(
        asyncio.gather(*(write(locked) for _ in range(6))), asyncio.gather(write(busy, 12), write(busy))
    )
    assert set(behind_another_process) == {causes.LOCKED}
    assert behind_ourselves == [None, causes.QUEUED]
    other.close()
    for db in (locked, busy):
        await db.close()


async def test_a_mistake_in_a_statement_is_not_an_absence(tmp_path: Path, postgres_url: str) -> None:
    for url in (
        f"sqlite+aiosqlite:///{tmp_path}/orc.db",
        postgres_url.replace("postgresql://", "postgresql+psycopg://"),
    ):
        db = Database(make_url(url))
        with pytest.raises(Exception, match="nothing_of_this_name") as caught:
            async with db.read() as session:
                await session.execute(text("SELECT * FROM nothing_of_this_name"))
        assert not isinstance(caught.value, DATABASE_AWAY)
        await db.close()


@pytest.mark.parametrize(
    ("sqlstate", "cause"),
    [
        ("25006", causes.READ_ONLY), ("57P01", causes.GONE), ("57P03", causes.GONE), ("08006", causes.GONE),
        ("53100", causes.FULL), ("53300", causes.CROWDED), ("55P03", causes.LOCKED), ("40P01", causes.LOCKED),
        ("57014", causes.SLOW), ("58030", causes.BROKEN), ("28P01", causes.REFUSED), ("XX001", causes.DAMAGED),
        ("23505", None), ("42P01", None), ("22001", None), ("25P02", None),
    ],
)  # fmt: skip
def test_a_cause_is_told_by_its_sqlstate(sqlstate: str, cause: object) -> None:
    error = type("Failure", (psycopg.Error,), {"sqlstate": sqlstate})()
    assert cause_of(error) is cause


@pytest.mark.parametrize(
    ("given", "hosts", "ports"),
    [
        ("postgresql://u:p%2Cq@one:1,two:2/db", "one,two", "1,2"),
        ("postgresql://u@one,two/db?sslmode=require", "one,two", "5432,5432"),
        ("postgresql://u@[::1]:5,two/db", "::1,two", "5,5432"),
    ],
)
def test_several_hosts_are_read_as_libpq_does(given: str, hosts: str, ports: str) -> None:
    url = parse_database_url(given)
    assert (url.query["host"], url.query["port"], url.database, url.username) == (hosts, ports, "db", "u")
    assert url.query["target_session_attrs"] == "read-write"
    assert parse_database_url("postgresql://u@one:1/db?application_name=a,b").host == "one"
