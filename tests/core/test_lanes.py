"""Lanes on both databases: limits, order, fairness between teams, sleep, and what a worker offers."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from tests.core.test_tasks import eventually

from orca.db import Database, now
from orca.errors import TaskCancelled
from orca.resources import PlaceInLine, Resources, on_system
from orca.systems import LOCAL, System
from orca.tasks import Task, TaskDefinition, TaskEngine, TaskRun, claims, workers
from orca.tasks.lanes import ANYTHING, INTERACTIVE, LANES, PERIODIC, PUSHED
from orca.tasks.queries import explain_waiting, list_stranded

pytestmark = pytest.mark.slow


@dataclass
class Bench:
    """Tasks that run until they are let go."""

    db: Database
    journal: list[str] = field(default_factory=list)
    gates: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    engines: list[tuple[TaskEngine, Resources]] = field(default_factory=list)

    async def work(self, run: TaskRun, payload: Mapping[str, Any]) -> None:
        label = str(payload["label"])
        await run.step("first", lambda: self.write(f"{label} first"), deadline=30)
        try:
            if "until" in payload:
                await run.sleep_until(datetime.fromisoformat(payload["until"]), "The tide is out.")
            if "lane" in payload:
                await run.move_to(payload["lane"], "It waits for a dock.")
            await run.step("hold", lambda: self.hold(label), deadline=60)
        except TaskCancelled:
            await run.step("undo", lambda: self.write(f"{label} undone"), deadline=30, cancellable=False)
            raise

    async def write(self, line: str) -> None:
        self.journal.append(line)

    async def hold(self, label: str) -> None:
        self.journal.append(f"{label} begins")
        await self.gates[label].wait()

    def open(self, lanes: Mapping[str, int], offers: tuple[str, ...] = ()) -> TaskEngine:
        definitions = [TaskDefinition("Sail", self.work, lane="deploy"), TaskDefinition("Walk", self.work)]
        engine, nothing = TaskEngine(self.db.url, definitions, lanes=LANES | lanes, offers=offers), Any
        resources = Resources(
            settings=nothing, db=self.db, plugins=nothing, systems=nothing, clock=nothing, secret_box=nothing, tasks=engine, instance="test",
        )  # fmt: skip
        self.engines.append((engine, resources))
        return engine

    async def start(self) -> None:
        for engine, resources in self.engines:
            await engine.start(resources)

    async def add(
        self, label: str, place: PlaceInLine = PlaceInLine(), *, task: str = "Sail", target: str = "", **payload: str
    ) -> str:
        async with self.db.write() as session:
            values = {"label": label, **payload}
            return await self.engines[0][0].enqueue(session, task, target=target or label, payload=values, place=place)

    async def cancel(self, task_id: str) -> None:
        async with self.db.write() as session:
            await self.engines[0][0].cancel(session, task_id, "the captain said so")

    async def get(self, task_id: str) -> Task:
        async with self.db.read() as session:
            return await session.get_one(Task, task_id)

    async def in_state(self, task_id: str, state: str, seconds: float = 20) -> Task:
        async def there() -> Task | None:
            task = await self.get(task_id)
            return task if task.state == state else None

        return await eventually(there, seconds)

    async def seen(self, *lines: str, seconds: float = 20) -> None:
        async def there() -> bool:
            return set(lines) <= set(self.journal)

        await eventually(there, seconds)

    @property
    def begun(self) -> list[str]:
        return [line.split()[0] for line in self.journal if line.endswith("begins")]

    async def explain(self, task_id: str) -> str:
        async with self.db.read() as session:
            return (await explain_waiting(session, [task_id])).get(task_id, "")


@pytest.fixture
async def bench(db: Database) -> AsyncIterator[Bench]:
    made = Bench(db)
    yield made
    for gate in made.gates.values():
        gate.set()
    for engine, resources in made.engines:
        await engine.stop(resources)


async def test_each_lane_has_its_own_limit(bench: Bench) -> None:
    bench.open({"deploy": 2, "run": 1})
    ids = [await bench.add(f"sail{n}") for n in range(4)] + [await bench.add(f"walk{n}", task="Walk") for n in range(2)]
    await bench.start()
    await bench.seen("sail0 begins", "sail1 begins", "walk0 begins")
    await asyncio.sleep(0.3)
    assert len(bench.begun) == 3
    assert "Lane “deploy”: 2 at work; it is the next one." in await bench.explain(ids[2])
    assert "Lane “deploy”: 2 at work; 1 task before it in line." in await bench.explain(ids[3])
    bench.gates["sail1"].set()
    await bench.seen("sail2 begins", seconds=3)
    for each in [*bench.begun, "sail3", "walk1"]:
        bench.gates[each].set()
    for each in ids:
        await bench.in_state(each, "succeeded")


async def test_the_most_urgent_task_comes_first_then_the_oldest(bench: Bench) -> None:
    bench.open({"deploy": 1})
    await bench.add("first")
    for label, priority in (("p1", PERIODIC), ("push", PUSHED), ("p2", PERIODIC), ("i1", INTERACTIVE), ("i2", 0)):
        await bench.add(label, PlaceInLine(priority=priority))
        bench.gates[label].set()
    await bench.start()
    await bench.seen("first begins")
    bench.gates["first"].set()
    await bench.seen("p2 begins")
    assert bench.begun == ["first", "i1", "i2", "push", "p1", "p2"]


async def test_a_team_has_half_of_a_lane_while_others_wait(bench: Bench) -> None:
    bench.open({"deploy": 4})
    for number in range(10):
        await bench.add(f"a-{number}", PlaceInLine("a"))
    for team in ("b", "c"):
        for number in range(2):
            await bench.add(f"{team}-{number}", PlaceInLine(team))
    await bench.start()
    await bench.seen("a-0 begins", "a-1 begins", "b-0 begins", "c-0 begins")
    bench.gates["b-0"].set()
    await bench.seen("b-1 begins")
    bench.gates["c-0"].set()
    await bench.seen("c-1 begins")
    assert Counter(each[0] for each in bench.begun) == {"a": 2, "b": 2, "c": 2}
    bench.gates["c-1"].set()
    await bench.seen("a-2 begins")


async def test_a_team_alone_has_the_whole_lane_and_others_get_the_next_slots(bench: Bench) -> None:
    bench.open({"deploy": 4})
    for number in range(8):
        await bench.add(f"a-{number}", PlaceInLine("a"))
    await bench.start()
    await bench.seen(*(f"a-{number} begins" for number in range(4)))
    await bench.add("b-0", PlaceInLine("b", PERIODIC))
    bench.gates["a-2"].set()
    await bench.seen("b-0 begins")
    bench.gates["b-0"].set()
    await bench.seen("a-4 begins")
    assert len(bench.begun) == 6


async def test_a_sleeping_task_frees_its_slot_and_holds_its_target(bench: Bench) -> None:
    bench.open({"deploy": 1})
    asleep = await bench.add("asleep", target="t", until=(now() + timedelta(seconds=2.5)).isoformat())
    behind, other = await bench.add("behind", target="t"), await bench.add("other")
    for label in ("asleep", "behind", "other"):
        bench.gates[label].set()
    await bench.start()
    await bench.in_state(other, "succeeded")
    async with bench.db.write() as session:  # one that got its number earlier and was committed later
        late = Task(name="Sail", target="t", lane="deploy", payload={"label": "late"})
        session.add(late)
        await session.flush()
        late.seq = -1
    assert (await bench.get(asleep)).state == "queued"
    assert "The tide is out. It goes on at " in await bench.explain(asleep)
    assert "earlier task of the same target" in await bench.explain(behind)
    bench.gates["late"].set()
    await bench.in_state(behind, "succeeded")
    assert bench.journal.count("asleep first") == 1
    assert bench.begun == ["other", "asleep", "late", "behind"]
    task = await bench.get(asleep)
    assert (task.state, task.because, task.not_before) == ("succeeded", None, None)


async def test_a_cancelled_sleeper_undoes_at_once_what_it_did_though_its_lane_is_full(bench: Bench) -> None:
    bench.open({"deploy": 1})
    asleep = await bench.add("asleep", target="t", until=(now() + timedelta(hours=1)).isoformat())
    await bench.start()
    await bench.in_state(asleep, "queued")
    await bench.seen("asleep first")
    await bench.add("busy")
    await bench.seen("busy begins")
    after = await bench.add("after", target="t")
    await bench.cancel(asleep)
    task = await bench.in_state(asleep, "cancelled", seconds=5)
    assert task.reason == "the captain said so"
    assert bench.journal.count("asleep undone") == bench.journal.count("asleep first") == 1
    assert (await bench.get(after)).state == "queued"


async def test_a_task_that_finds_no_slot_in_its_next_lane_waits_in_line_and_is_woken_at_once(bench: Bench) -> None:
    bench.open({"deploy": 2, "build": 1})
    ids = [await bench.add(f"dock{number}", lane="build") for number in range(4)]
    await bench.start()
    await bench.seen("dock0 begins", "dock1 first", "dock2 first", "dock3 first")
    for number in range(1, 4):
        task = await bench.in_state(ids[number], "queued")
        assert (task.lane, task.because) == ("build", "It waits for a dock.")
    assert await bench.explain(ids[2]) == "It waits for a dock. Lane “build”: 1 at work; 1 task before it in line."
    later = await bench.add("later")
    await bench.seen("later begins")
    for number in range(3):
        bench.gates[f"dock{number}"].set()
        await bench.seen(f"dock{number + 1} begins", seconds=3)
    bench.gates["later"].set()
    await bench.in_state(later, "succeeded")
    assert Counter(bench.journal) == Counter(set(bench.journal)), "no finished step was repeated"
    assert [each for each in bench.begun if each != "later"] == ["dock0", "dock1", "dock2", "dock3"]


async def test_a_task_goes_to_a_worker_that_offers_what_it_needs(bench: Bench) -> None:
    bench.open({})
    task_id = await bench.add("arm", PlaceInLine(needs="build:arm64"))
    other = await bench.add("any")
    await bench.start()
    await bench.seen("any begins")
    why = "No worker that runs can do this: it waits for one that offers “build:arm64” (ORC_WORKER_OFFERS)."
    assert await bench.explain(task_id) == why
    assert await bench.explain(other) == ""
    async with bench.db.read() as session:
        assert await list_stranded(session) == {why: 1}
    bench.gates["any"].set()
    await bench.in_state(other, "succeeded")
    for engine, resources in bench.engines:
        await engine.stop(resources)
    bench.engines.clear()
    bench.open({}, ("build:arm64", "system:local"))
    await bench.start()
    await bench.seen("arm begins")


async def test_tasks_of_two_systems_go_to_the_workers_that_reach_them(bench: Bench) -> None:
    async with bench.db.write() as session:
        session.add(System(id="far", name="edge"))
    near = bench.open({}, (on_system(LOCAL),))
    here = await bench.add("here", PlaceInLine(needs=on_system(LOCAL)))
    there = await bench.add("there", PlaceInLine(needs=on_system("far")))
    await bench.start()
    await bench.seen("here begins")
    assert await bench.explain(there) == (
        "No worker that runs works on the system “edge”: it waits for one that offers “system:far” (ORC_WORKER_OFFERS)."
    )
    if bench.db.is_sqlite:  # which has one worker at a time
        bench.gates["here"].set()
        await bench.in_state(here, "succeeded")
        await near.stop(bench.engines.pop()[1])
    bench.open({}, (on_system("far"),))
    await bench.engines[-1][0].start(bench.engines[-1][1])
    await bench.seen("there begins")
    async with bench.db.read() as session:
        assert await list_stranded(session) == {}
        assert (await session.get_one(Task, there)).worker == bench.engines[-1][0].executor
        assert (await session.get_one(Task, here)).worker == near.executor


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_worker_of_one_system_leaves_periodic_jobs_to_one_that_offers_anything(bench: Bench) -> None:
    part, whole = bench.open({}, (on_system(LOCAL),)), bench.open({}, (ANYTHING,))

    async def holds(engine: TaskEngine) -> bool:
        async with bench.db.write() as session:
            return await workers.hold(session, "job", engine.executor, seconds=0)

    await part.start(bench.engines[0][1])
    assert await holds(part)
    await whole.start(bench.engines[1][1])
    assert (await holds(part), await holds(whole)) == (False, True)
    await whole.stop(bench.engines.pop()[1])
    assert await holds(part)


async def test_a_worker_that_loses_one_target_keeps_the_rest_of_its_claims(bench: Bench) -> None:
    engine = bench.open({})
    lost, won = await bench.add("lost", target="t"), await bench.add("won")
    async with bench.db.write() as session:
        session.add(Task(name="Sail", target="t", state="running", worker="another"))
    async with bench.db.write() as session:
        found = (await session.execute(select(Task.id, Task.team_id).where(Task.state == "queued"))).all()
        taken = await claims._start(session, found, engine.executor)
    assert [task.id for task in taken] == [won]
    assert ((await bench.get(lost)).state, (await bench.get(won)).state) == ("queued", "running")


async def test_tasks_left_by_a_dead_worker_wait_for_room_in_their_lanes(bench: Bench) -> None:
    bench.open({"build": 1})
    ids = [await bench.add(f"b{number}") for number in range(2)]
    async with bench.db.write() as session:
        for each in ids:
            task = await session.get_one(Task, each)
            task.state, task.epoch, task.lane = "running", 1, "build"
    await bench.start()
    await bench.seen("b0 begins")
    await asyncio.sleep(0.3)
    assert bench.begun == ["b0"]
    assert "Lane “build”: 1 at work" in await bench.explain(ids[1])
    bench.gates["b0"].set()
    await bench.seen("b1 begins", seconds=3)
