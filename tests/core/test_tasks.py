"""Durable tasks on both databases: outbox, serial targets, cancel, deadline, crash, takeover."""

import asyncio
import os
import re
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from tests.conftest import ROOT
from tests.core.task_program import open_engine
from tests.forks import Process, start_module

from orca.db import now
from orca.resources import Resources
from orca.tasks import Task, TaskEngine, TaskStep, workers
from orca.tasks.queries import explain_waiting, list_kinds
from orca.tasks.rows import Worker
from orca.tasks.run import HELD_AFTER, STOP_SECONDS

pytestmark = pytest.mark.slow

TAKEOVER_SECONDS = 30
Spawn = Callable[[float], Process]


@pytest.fixture
def url(database_url: str | None, tmp_path: Path) -> str:
    return (database_url or f"sqlite+aiosqlite:///{tmp_path}/orc.db").replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    path.touch()
    return path


@pytest.fixture
async def queue(url: str, journal: Path) -> AsyncIterator[tuple[TaskEngine, Resources]]:
    """Queues tasks, runs none."""
    engine, resources = await open_engine(url, str(journal), 0)
    yield engine, resources
    await resources.db.close()


@pytest.fixture
def spawn(url: str, journal: Path):
    started: list[Process] = []

    def start(slow: float) -> Process:
        program = "tests.core.task_program"
        started.append(start_module(program, url, str(journal), str(slow), env=os.environ, cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(10)


async def enqueue(queue: tuple[TaskEngine, Resources], label: str, target: str = "t", **payload: object) -> str:
    engine, resources = queue
    async with resources.db.write() as session:
        return await engine.enqueue(session, "Work", target=target, payload={"label": label, **payload})


async def finished(queue: tuple[TaskEngine, Resources], task_id: str, seconds: float = 30) -> Task:
    async def ended() -> Task | None:
        async with queue[1].db.read() as session:
            task = await session.get(Task, task_id)
        return task if task is not None and task.state in {"succeeded", "failed", "cancelled"} else None

    return await eventually(ended, seconds)


async def eventually(condition, seconds: float = 30):
    async with asyncio.timeout(seconds):
        while True:
            if value := await condition():
                return value
            await asyncio.sleep(0.05)


def begun_at(journal: Path, line: str) -> float:
    return float(re.findall(rf"{line} (\S+)", journal.read_text())[0])


async def wait_for(journal: Path, text: str, seconds: float = 30) -> None:
    async def there() -> bool:
        return text in journal.read_text()

    await eventually(there, seconds)


async def test_a_rolled_back_transaction_queues_nothing(queue, spawn: Spawn, journal: Path) -> None:
    engine, resources = queue
    with pytest.raises(ZeroDivisionError):
        async with resources.db.write() as session:
            await engine.enqueue(session, "Work", target="t", payload={"label": "lost"})
            raise ZeroDivisionError
    kept = await enqueue(queue, "kept")
    spawn(0)
    assert (await finished(queue, kept)).state == "succeeded"
    assert "lost" not in journal.read_text()
    async with resources.db.read() as session:
        assert await list_kinds(session) == []


async def test_tasks_of_one_target_run_one_at_a_time_and_in_order(queue, spawn: Spawn, journal: Path) -> None:
    ids = [await enqueue(queue, f"a{number}", "same") for number in range(3)]
    spawn(0.3)
    for each in ids:
        assert (await finished(queue, each)).state == "succeeded"
    lines = [line.split()[:3] for line in journal.read_text().splitlines() if "slow" in line]
    assert lines == [[f"a{n}", "slow", what] for n in range(3) for what in ("begin", "end")]


async def test_tasks_of_different_targets_run_side_by_side(queue, spawn: Spawn, journal: Path) -> None:
    ids = [await enqueue(queue, f"b{number}", f"target-{number}") for number in range(3)]
    spawn(2.0)
    await wait_for(journal, "b0 slow begin")
    await wait_for(journal, "b1 slow begin")
    await wait_for(journal, "b2 slow begin")
    for each in ids:
        assert (await finished(queue, each)).state == "succeeded"


async def test_cancel_stops_the_work_inside_a_step(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "c")
    spawn(60)
    await wait_for(journal, "c slow begin")
    async with queue[1].db.write() as session:
        await queue[0].cancel(session, task_id, "somebody changed their mind")
    task = await finished(queue, task_id, 15)
    assert (task.state, task.reason) == ("cancelled", "somebody changed their mind")
    assert "c slow stopped" in journal.read_text()
    assert "c last" not in journal.read_text()


async def test_a_queued_task_is_cancelled_without_a_worker(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "d")
    async with queue[1].db.write() as session:
        await queue[0].cancel(session, task_id, "not needed")
    assert (await finished(queue, task_id, 1)).state == "cancelled"
    other = await enqueue(queue, "e")
    spawn(0)
    assert (await finished(queue, other)).state == "succeeded"
    assert "d first" not in journal.read_text()


async def test_a_deadline_ends_a_step_and_says_so(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "f", deadline=0.5)
    spawn(60)
    task = await finished(queue, task_id, 20)
    assert task.state == "failed"
    assert "did not finish within 0.5 s" in (task.reason or "")
    assert "f slow stopped" in journal.read_text()


async def test_a_failure_keeps_its_reason(queue, spawn: Spawn) -> None:
    task_id = await enqueue(queue, "g", fail=True)
    spawn(0)
    task = await finished(queue, task_id)
    assert (task.state, task.reason) == ("failed", "it was meant to fail")


async def test_after_a_kill_the_interrupted_step_runs_again_and_finished_ones_do_not(
    queue, spawn: Spawn, journal: Path
) -> None:
    task_id = await enqueue(queue, "h")
    first = spawn(60)
    await wait_for(journal, "h slow begin")
    first.kill()
    first.wait(10)
    spawn(0)
    assert (await finished(queue, task_id, 60)).state == "succeeded"
    text = journal.read_text()
    assert text.count("h first begin") == 1
    assert text.count("h slow begin") == 2
    assert text.count("h last begin") == 1


@pytest.mark.parametrize("how", ["fail", "crash"])
async def test_whatever_ends_a_task_its_target_is_told(queue, spawn: Spawn, journal: Path, how: str) -> None:
    """Even by a `settle` that breaks, as this one does: the next task of the target still has its turn."""
    task_id = await enqueue(queue, "k", **{how: True})
    after = await enqueue(queue, "l")
    spawn(0)
    assert (await finished(queue, task_id)).state == "failed"
    assert f"settled {task_id} " in journal.read_text()
    assert (await finished(queue, after)).state == "succeeded"


async def test_a_step_that_must_not_be_cancelled_goes_to_its_end(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "m", stubborn=True)
    spawn(7)  # longer than a worker takes to look
    await wait_for(journal, "m slow begin")
    async with queue[1].db.write() as session:
        await queue[0].cancel(session, task_id, "too late for this step")
    task = await finished(queue, task_id)
    assert (task.state, task.reason) == ("cancelled", "too late for this step")
    assert "m slow end" in journal.read_text()
    assert "m last" not in journal.read_text()


async def test_a_graceful_stop_leaves_the_task_to_the_next_start(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "n", reluctance=1, deadline=30)
    first = spawn(60)
    await wait_for(journal, "n slow begin")
    first.terminate()
    assert first.wait(20) == 0
    assert "n slow stopped" in journal.read_text()
    assert "settled" not in journal.read_text()
    spawn(0)
    assert (await finished(queue, task_id)).state == "succeeded"
    assert journal.read_text().count("n first begin") == 1


async def test_a_task_that_kills_its_process_is_held_back_and_no_other_is_blamed(
    queue, spawn: Spawn, journal: Path
) -> None:
    bystanders = [await enqueue(queue, f"by{number}", f"other-{number}") for number in range(3)]
    task_id = await enqueue(queue, "o", die=True)
    for _ in range(HELD_AFTER):
        dying = spawn(2 if _ == 0 else 0.2)
        await asyncio.to_thread(dying.wait, 60)
        assert dying.returncode == -9
    spawn(0)
    task = await finished(queue, task_id, 60)
    assert task.state == "failed"
    assert "ended 2 times while it was at “die”" in (task.reason or "")
    assert f"settled {task_id} " in journal.read_text()
    assert journal.read_text().count("o die") == HELD_AFTER
    for each in bystanders:
        assert (await finished(queue, each)).state == "succeeded"


async def test_a_task_whose_end_kills_the_process_too_is_given_up(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "given-up")
    async with queue[1].db.write() as session:
        task = await session.get_one(Task, task_id)
        task.state, task.worker, task.recoveries = "running", "one that died", HELD_AFTER
    spawn(0)
    task = await finished(queue, task_id)
    assert (task.state, "again and again" in (task.reason or "")) == ("failed", True)
    assert "given-up first" not in journal.read_text()


async def test_restarts_do_not_count_as_deaths(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "patient")
    for number in range(HELD_AFTER + 1):
        worker = spawn(60)
        await wait_for(journal, f"patient slow begin {worker.pid}")
        worker.terminate()
        assert await asyncio.to_thread(worker.wait, 30) == 0, number
    spawn(0)
    assert (await finished(queue, task_id)).state == "succeeded"


async def test_a_kill_while_a_task_sleeps_is_no_death_of_it(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "asleep", sleep_until=(now() + timedelta(seconds=15)).isoformat())

    async def find(state: str) -> Task | None:
        async with queue[1].db.read() as session:
            task = await session.get_one(Task, task_id)
        return task if (task.state, task.epoch > 0) == (state, True) else None

    for _ in range(HELD_AFTER + 1):
        worker = spawn(0)
        await wait_for(journal, f"worker {worker.pid}")
        task = await eventually(lambda: find("queued"))
        worker.kill()
        await asyncio.to_thread(worker.wait, 10)
    assert (task.recoveries, task.worker, task.because) == (0, None, "it sleeps")
    spawn(0)
    assert (await finished(queue, task_id, 60)).state == "succeeded"
    assert journal.read_text().count("asleep first begin") == journal.read_text().count("asleep slow begin") == 1


async def test_a_frozen_worker_that_wakes_up_changes_nothing(queue, spawn: Spawn, journal: Path) -> None:
    """With SQLite, where one process runs at a time, the next start takes over; with PostgreSQL the other worker."""
    one = spawn(10)
    await wait_for(journal, f"worker {one.pid}")
    task_id = await enqueue(queue, "z")
    await wait_for(journal, f"z slow begin {one.pid}")
    one.send_signal(signal.SIGSTOP)
    frozen = time.time()
    two = spawn(1)
    await wait_for(journal, f"z slow begin {two.pid}", 60)
    assert begun_at(journal, f"z slow begin {two.pid}") - frozen <= TAKEOVER_SECONDS
    assert (await finished(queue, task_id, 60)).state == "succeeded"
    one.send_signal(signal.SIGCONT)
    assert await asyncio.to_thread(one.wait, 60) == 70
    assert f"ended {one.pid} The other workers thought that this process had died" in journal.read_text()
    assert re.findall(r"z (?:slow|last) (?:end \S+|begin) (\d+)", journal.read_text()) == [
        str(pid) for pid in (one.pid, two.pid, two.pid, two.pid, two.pid)
    ]


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_worker_frozen_inside_a_transaction_is_taken_over(queue, spawn: Spawn, journal: Path) -> None:
    one, two = spawn(0), spawn(0)
    await wait_for(journal, f"worker {one.pid}")
    await wait_for(journal, f"worker {two.pid}")
    task_id = await enqueue(queue, "y", freeze=True)
    await wait_for(journal, "freeze")
    first, frozen = re.findall(r"freeze (\d+) (\S+)", journal.read_text())[0]
    assert (await finished(queue, task_id, 60)).state == "succeeded"
    second, taken = re.findall(r"freeze (\d+) (\S+)", journal.read_text())[1]
    assert first != second
    assert float(taken) - float(frozen) <= TAKEOVER_SECONDS
    os.kill(int(first), signal.SIGCONT)
    woken = one if one.pid == int(first) else two
    assert await asyncio.to_thread(woken.wait, 60) == 70
    async with queue[1].db.read() as session:
        task = await session.get_one(Task, task_id)
    assert (task.state, task.cancel_reason) == ("succeeded", None)


async def test_a_worker_leaves_alone_what_it_does_not_know(queue, spawn: Spawn, journal: Path) -> None:
    async with queue[1].db.write() as session:
        newer, begun = Task(name="Newer", target="t"), Task(name="Newer", target="u", state="running")
        session.add_all([newer, begun])
    behind, other = await enqueue(queue, "behind"), await enqueue(queue, "other", "another")
    spawn(0)
    assert (await finished(queue, other)).state == "succeeded"
    async with queue[1].db.read() as session:
        why = await explain_waiting(session, [newer.id, begun.id, behind, other])
        kinds = {kind.name: kind for kind in await list_kinds(session)}
    assert set(why) == {newer.id, begun.id, behind}
    assert "No worker that runs knows “Newer”" in why[newer.id]
    assert "No worker that runs knows “Newer”" in why[begun.id]
    assert "earlier task of the same target" in why[behind]
    assert (kinds["Newer"].queued, kinds["Newer"].running, kinds["Work"].queued) == (1, 1, 1)
    assert kinds["Newer"].queue_age.total_seconds() > 0
    assert "behind" not in journal.read_text()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_worker_older_than_the_schema_finishes_its_work_and_ends(queue, spawn: Spawn, journal: Path) -> None:
    old = spawn(12)
    task_id = await enqueue(queue, "drained")
    await wait_for(journal, "drained slow begin")
    async with queue[1].db.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await asyncio.sleep(7)
    late = await enqueue(queue, "late", "another")
    assert (await finished(queue, task_id)).state == "succeeded"
    assert await asyncio.to_thread(old.wait, 30) == 70
    assert f"ended {old.pid} a newer Orca has brought the database up to date" in journal.read_text()
    async with queue[1].db.read() as session:
        assert (await session.get_one(Task, late)).state == "queued"
        assert "No worker runs" in (await explain_waiting(session, [late]))[late]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_database_that_takes_no_writes_suspends_only(
    queue, spawn: Spawn, journal: Path, tmp_path: Path
) -> None:
    """Locked for longer than any statement waits: neither the task nor the loop that starts tasks is lost."""
    task_id = await enqueue(queue, "p")
    spawn(4)
    await wait_for(journal, "p slow begin")
    lock = sqlite3.connect(tmp_path / "orc.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    await asyncio.sleep(13)
    lock.execute("ROLLBACK")
    after = await enqueue(queue, "q", "another")
    assert (await finished(queue, task_id, 60)).state == "succeeded"
    assert (await finished(queue, after)).state == "succeeded"
    assert journal.read_text().count("p first begin") == 1


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_database_that_drops_every_connection_suspends_only(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "r")
    spawn(4)
    await wait_for(journal, "r slow begin")
    others = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                  " AND pid <> pg_backend_pid()")  # fmt: skip
    for _ in range(20):
        async with queue[1].db.read() as session:
            await session.execute(others)
        await asyncio.sleep(0.3)
    assert (await finished(queue, task_id, 60)).state == "succeeded"
    assert journal.read_text().count("r first begin") == 1


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_worker_that_was_thought_dead_writes_nothing_down(queue, spawn: Spawn, journal: Path) -> None:
    task_id = await enqueue(queue, "s")
    one = spawn(4)
    await wait_for(journal, "s slow begin")
    async with queue[1].db.write() as session:
        await session.execute(
            update(Task).where(Task.id == task_id).values(worker="somebody else", epoch=Task.epoch + 1)
        )
        session.add(Worker(id="somebody else", host="h", started_at=now(), seen_at=now() + timedelta(hours=1)))
    await asyncio.sleep(6)
    async with queue[1].db.read() as session:
        task = await session.get_one(Task, task_id)
        steps = (await session.scalars(select(TaskStep.name).where(TaskStep.task_id == task_id))).all()
    assert (task.state, list(steps)) == ("running", ["first"])
    assert "s last" not in journal.read_text()
    assert "s slow end" not in journal.read_text()
    assert one.poll() is None


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_periodic_job_passes_on_when_its_holder_left(queue) -> None:
    db = queue[1].db
    async with db.write() as session:
        await workers.enter(session, "one", ["Work"])
        await workers.enter(session, "two", [])
        assert await workers.hold(session, "sweep", "one", seconds=3600)
        assert not await workers.hold(session, "sweep", "two", seconds=3600)
        await workers.leave(session, "one")
        assert await workers.hold(session, "sweep", "two", seconds=3600)


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_living_worker_takes_over_from_a_dead_one(queue, spawn: Spawn, journal: Path) -> None:
    one = spawn(60)
    await wait_for(journal, f"worker {one.pid}")
    task_id = await enqueue(queue, "i")
    await wait_for(journal, "i slow begin")
    two = spawn(0)
    await wait_for(journal, f"worker {two.pid}")
    one.kill()
    one.wait(10)
    assert (await finished(queue, task_id, 60)).state == "succeeded"
    assert f"i slow begin {two.pid}" in journal.read_text()
    assert journal.read_text().count("i first begin") == 1


async def test_stop_right_after_drain_ends_the_dispatcher(url: str, journal: Path) -> None:
    """News and a cancellation at the same moment: `asyncio.wait_for` of Python 3.11 forgets the cancellation then."""
    engine, resources = await open_engine(url, str(journal), 0)
    await engine.start(resources)
    await asyncio.sleep(0.5)  # it waits for news by now
    began = time.monotonic()
    engine.drain("a newer version is here")
    await engine.stop(resources)
    await resources.db.close()
    assert time.monotonic() - began < STOP_SECONDS
