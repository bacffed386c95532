"""A worker for the task tests: run as a process of its own, so that it can be killed.

Usage: task_program.py <database url> <journal file> <seconds a slow step takes>
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from orca.db import Base, Database
from orca.errors import StepFailed
from orca.resources import Resources
from orca.tasks import TaskDefinition, TaskEngine, TaskRun


def journal(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


def definitions(path: str, slow: float) -> list[TaskDefinition]:
    async def work(run: TaskRun, payload: Mapping[str, Any]) -> None:
        label = payload["label"]

        async def one(name: str, seconds: float) -> str:
            journal(path, f"{label} {name} begin {os.getpid()} {time.time()}")
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                journal(path, f"{label} {name} stopped")
                raise
            journal(path, f"{label} {name} end {time.time()}")
            return name

        await run.step("first", lambda: one("first", 0), deadline=30)
        await run.step("slow", lambda: one("slow", slow), deadline=payload.get("deadline", 60))
        await run.step("last", lambda: one("last", 0), deadline=30)
        if payload.get("fail"):
            raise StepFailed("it was meant to fail", hint="Do not ask for it.")

    return [TaskDefinition("Work", work)]


async def open_engine(url: str, path: str, slow: float) -> tuple[TaskEngine, Resources]:
    parsed = make_url(url)
    db = Database(parsed)
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    engine = TaskEngine(parsed, definitions(path, slow), concurrency=4)
    nothing: Any = None
    resources = Resources(
        settings=nothing, db=db, plugins=nothing, connector=nothing, engine=nothing, proxy=nothing, builders={},
        http=nothing, clock=nothing, secret_box=nothing, tasks=engine, instance="test",
    )  # fmt: skip
    return engine, resources


async def main() -> None:
    url, path, slow = sys.argv[1], sys.argv[2], float(sys.argv[3])
    engine, resources = await open_engine(url, path, slow)
    await engine.start(resources)
    journal(path, f"worker {os.getpid()} {engine.executor}")
    await asyncio.sleep(300)


if __name__ == "__main__":
    asyncio.run(main())
