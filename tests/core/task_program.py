"""A worker for the task tests: run as a process of its own, so that it can be killed.

Usage: task_program.py <database url> <journal file> <seconds a slow step takes>
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text, update
from sqlalchemy.engine import make_url

from orca.db import Database
from orca.errors import StepFailed
from orca.kit.fence import check_fence
from orca.migrations import upgrade
from orca.outdated import drain_when_outdated
from orca.resources import Resources
from orca.tasks import Task, TaskDefinition, TaskEngine, TaskRun
from orca.tasks.lanes import LANES
from orca.tasks.workers import _WORKERS_LOCK


def journal(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


async def freeze(run: TaskRun, path: str) -> None:
    """The first time: inside of a transaction that holds what others need to take over."""
    is_first = "freeze" not in Path(path).read_text()
    async with run.resources.db.write() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WORKERS_LOCK})
        journal(path, f"freeze {os.getpid()} {time.time()}")
        if is_first:
            await session.execute(update(Task).where(Task.id == run.id).values(cancel_reason="by one who was frozen"))
            os.kill(os.getpid(), signal.SIGSTOP)


async def die(path: str, label: str) -> None:
    journal(path, f"{label} die {os.getpid()}")
    await asyncio.sleep(0.5)  # what else runs has begun, too
    os.kill(os.getpid(), signal.SIGKILL)


def definitions(path: str, slow: float) -> list[TaskDefinition]:
    async def work(run: TaskRun, payload: Mapping[str, Any]) -> None:
        label = payload["label"]

        async def one(name: str, seconds: float) -> str:
            journal(path, f"{label} {name} begin {os.getpid()} {time.time()}")
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                await asyncio.sleep(payload.get("reluctance", 0))
                journal(path, f"{label} {name} stopped")
                raise
            await check_fence()
            journal(path, f"{label} {name} end {time.time()} {os.getpid()}")
            return name

        await run.step("first", lambda: one("first", 0), deadline=30)
        if "sleep_until" in payload:
            await run.sleep_until(datetime.fromisoformat(payload["sleep_until"]), "it sleeps")
        cancellable, deadline = not payload.get("stubborn"), payload.get("deadline", 60)
        await run.step("slow", lambda: one("slow", slow), deadline=deadline, cancellable=cancellable)
        if payload.get("freeze"):
            await run.step("freeze", lambda: freeze(run, path), deadline=60)
        if payload.get("die"):
            await run.step("die", lambda: die(path, label), deadline=60)
        await run.step("last", lambda: one("last", 0), deadline=30)
        if payload.get("fail"):
            raise StepFailed("it was meant to fail", hint="Do not ask for it.")
        if payload.get("crash"):
            raise ZeroDivisionError

    async def settle(_resources: Resources, task_id: str, reason: str) -> None:
        journal(path, f"settled {task_id} {reason}")
        raise RuntimeError("and then it broke")

    return [TaskDefinition("Work", work, settle)]


async def open_engine(url: str, path: str, slow: float) -> tuple[TaskEngine, Resources]:
    parsed = make_url(url)
    await asyncio.to_thread(upgrade, parsed)
    db = Database(parsed)
    engine = TaskEngine(parsed, definitions(path, slow), lanes=LANES | {"run": 4})
    nothing: Any = None
    resources = Resources(
        settings=nothing, db=db, plugins=nothing, systems=nothing, clock=nothing, secret_box=nothing,
        tasks=engine, instance="test",
    )  # fmt: skip
    return engine, resources


async def main() -> None:
    url, path, slow = sys.argv[1], sys.argv[2], float(sys.argv[3])
    engine, resources = await open_engine(url, path, slow)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await engine.start(resources)
    journal(path, f"worker {os.getpid()} {engine.executor}")
    watching = asyncio.create_task(drain_when_outdated(resources.db, engine))
    waiting = [asyncio.create_task(each.wait()) for each in (ended, engine.ended)]
    await asyncio.wait(waiting, timeout=300, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    await engine.stop(resources)
    if engine.ended.is_set():
        journal(path, f"ended {os.getpid()} {engine.draining}")
        raise SystemExit(70)


if __name__ == "__main__":
    asyncio.run(main())
