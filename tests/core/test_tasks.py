"""Durable tasks on both databases: outbox, serial targets, cancel, deadline, crash, takeover."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.core.task_program import open_engine

from orca.resources import Resources
from orca.tasks import Task, TaskEngine, count_active

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("task_program.py")
Spawn = Callable[[float], subprocess.Popen[bytes]]


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
    started: list[subprocess.Popen[bytes]] = []

    def start(slow: float) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, PROGRAM, url, str(journal), str(slow)]))
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
        assert await count_active(session) == 0


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
