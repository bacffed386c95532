"""Many queued tasks and many workers on one PostgreSQL: what a claim costs, and when an interactive task starts."""

import asyncio
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
from sqlalchemy import func, insert, select, text
from sqlalchemy.engine import make_url
from tests.postgres import Server

from orca.db import Database, now
from orca.migrations import upgrade
from orca.resources import PlaceInLine, Resources
from orca.tasks import Task, TaskDefinition, TaskEngine, TaskRun, claims
from orca.tasks.lanes import LANES, PERIODIC, list_openings

QUEUED, TEAMS, TARGETS, WORKERS, INTERACTIVE = 10_000, 50, 8000, 20, 200
TASK_SECONDS, PAUSE_SECONDS, ROUNDS = 8.0, 0.1, 200
CLAIM_MS, START_SECONDS = 1.0, 1.0


def task_engine() -> list[tuple[str, str, str, bool]]:
    with _server() as url:
        claim = asyncio.run(_measure_claims(url))
        started, cpu = asyncio.run(_measure_starts(url))
    load = f"{QUEUED:,} queued, {TEAMS} teams"
    return [
        (f"claim of a task, PostgreSQL, {load}", f"median ≤ {CLAIM_MS:g} ms", f"{claim:.2f} ms", claim <= CLAIM_MS),
        (f"start of an interactive task, {load}, {WORKERS} workers", f"p95 ≤ {START_SECONDS:g} s",
         f"{started:.2f} s ({cpu:.0f} % of the machine busy)", started <= START_SECONDS),
    ]  # fmt: skip


@contextmanager
def _server() -> Iterator[str]:
    server = Server.create()
    server.start(connections=400)
    try:
        url = server.url.replace("postgresql:", "postgresql+psycopg:")
        upgrade(make_url(url))
        yield url
    finally:
        server.stop()
        server.remove()


async def _work(run: TaskRun, _payload: Mapping[str, Any]) -> None:
    seconds = random.uniform(0.5, 1.5) * TASK_SECONDS  # so that slots do not become free all at once
    await run.step("work", lambda: asyncio.sleep(seconds), deadline=60)


def _open(url: str) -> tuple[TaskEngine, Resources]:
    parsed, nothing = make_url(url), Any
    db = Database(parsed)
    engine = TaskEngine(parsed, [TaskDefinition("Work", _work, lane="deploy")])
    resources = Resources(
        settings=nothing, db=db, plugins=nothing, systems=nothing, clock=nothing, secret_box=nothing, tasks=engine, instance="benchmark",
    )  # fmt: skip
    return engine, resources


async def _fill(db: Database) -> None:
    rows = [
        {"name": "Work", "target": f"t{number % TARGETS}", "lane": "deploy", "priority": PERIODIC, "seq": number + 1,
         "team_id": f"team-{number % TEAMS}"}
        for number in range(QUEUED)
    ]  # fmt: skip
    async with db.write() as session:
        await session.execute(insert(Task), rows)
        await session.execute(text(f"SELECT setval('tasks_seq_seq', {QUEUED + 1})"))
        await session.execute(text("ANALYZE tasks"))


async def _measure_claims(url: str) -> float:
    """The median per claimed task of transactions that fill a lane, as a worker that has been idle does."""
    engine, resources = _open(url)
    claimant = claims.Claimant(engine.executor, ["Work"])
    await _fill(resources.db)
    times = []
    for _ in range(ROUNDS):
        (opening,) = list_openings({"deploy": LANES["deploy"]}, ())
        async with resources.db.open_write() as session, session.begin() as transaction:
            await session.execute(text("SELECT 1"))  # the connection is there
            began = time.perf_counter()
            claimed = await claims.claim(session, claimant, opening)
            times.append((time.perf_counter() - began) / len(claimed) * 1000)
            await transaction.rollback()
    await resources.db.close()
    return statistics.median(times)


async def _measure_starts(url: str) -> tuple[float, float]:
    """The 95th percentile of the seconds from the commit of an interactive task to its start, and the load."""
    engine, resources = _open(url)
    workers = _start_workers(url)
    try:
        await _until_busy(resources.db)
        await asyncio.sleep(2 * TASK_SECONDS)  # by then slots become free evenly
        psutil.cpu_percent()
        ids = []
        for number in range(INTERACTIVE):
            async with resources.db.write() as session:
                place = PlaceInLine(f"team-{number % TEAMS}")
                ids.append(await engine.enqueue(session, "Work", target=f"i{number}", payload={}, place=place))
            await asyncio.sleep(PAUSE_SECONDS)
        await asyncio.sleep(2 * START_SECONDS)
        cpu = psutil.cpu_percent()
        async with resources.db.read() as session:
            rows = (await session.execute(select(Task.created_at, Task.started_at).where(Task.id.in_(ids)))).all()
    finally:
        for each in workers:
            each.kill()
            each.wait()
        await resources.db.close()
    waits = [((row.started_at or now()) - row.created_at).total_seconds() for row in rows]
    return statistics.quantiles(waits, n=20)[18], cpu


def _start_workers(url: str) -> list[subprocess.Popen[bytes]]:
    return [subprocess.Popen([sys.executable, "-m", "benchmarks.task_queue", url]) for _ in range(WORKERS)]


async def _until_busy(db: Database) -> None:
    async with asyncio.timeout(180):
        running = 0
        while running < WORKERS * LANES["deploy"] * 0.9:
            await asyncio.sleep(0.5)
            async with db.read() as session:
                running = await session.scalar(select(func.count()).where(Task.state == "running")) or 0


async def _serve(url: str) -> None:
    engine, resources = _open(url)
    await engine.start(resources)
    await engine.ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
