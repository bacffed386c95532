"""How fast output is taken in: the log of a build into the database, and a container's log to a reader."""

import asyncio
import tempfile
import time
from pathlib import Path

import psutil
from tests.conftest import claim, make_settings, running_app

from orca.db import now
from orca.features.deployments.models import Deployment
from orca.features.deployments.operations.log import LogWriter
from orca.features.projects.models import Environment, Project
from orca.features.services.models import Service
from orca.kit.ids import new_id

MEGABYTES = 100
LINE = "2026-01-01T00:00:00Z  [7/9] compiling src/some/module/with/a/longish/path.c: 1234 of 5678 done"


def into_storage() -> list[tuple[str, str, str, bool]]:
    with tempfile.TemporaryDirectory(prefix="orca-bench-") as folder:
        rate, grown = asyncio.run(_write_log(Path(folder)))
    measured = f"{rate:.0f} MB/s, memory grew by {grown:.0f} MB"
    return [
        (
            f"log of a build, {MEGABYTES} MB of lines, into storage",
            "≥ 20 MB/s, bounded memory",
            measured,
            rate >= 20 and grown < 20,
        )
    ]


async def _write_log(folder: Path) -> tuple[float, float]:
    async with running_app(make_settings(folder / "data")) as app:
        await claim(app)
        db = app.state.resources.db
        writer = LogWriter(db, await _make_deployment(db), ("a-secret-that-is-looked-for",))
        await writer.write(LINE)
        memory = psutil.Process().memory_info().rss
        lines = MEGABYTES * 1_000_000 // len(LINE)
        started = time.perf_counter()
        for _ in range(lines):
            await writer.write(LINE)
        await writer.flush()
        rate = lines * len(LINE) / 1e6 / (time.perf_counter() - started)
        return rate, (psutil.Process().memory_info().rss - memory) / 1e6


async def _make_deployment(db) -> str:
    ids = {name: new_id() for name in ("team", "project", "environment", "service", "deployment")}
    async with db.write() as session:
        session.add(Project(id=ids["project"], team_id=ids["team"], name="Logs", slug="logs"))
        await session.flush()
        session.add(
            Environment(id=ids["environment"], team_id=ids["team"], project_id=ids["project"], name="P", slug="p")
        )
        await session.flush()
        session.add(
            Service(
                id=ids["service"], team_id=ids["team"], project_id=ids["project"], environment_id=ids["environment"],
                name="logs", slug="logs", kind="web", source={"type": "directory"}, build={}, ports=[],
                health={"type": "auto", "path": "/", "start_period": 60}, resources={}, command=[], release_command=[],
            )
        )  # fmt: skip
        await session.flush()
        session.add(
            Deployment(
                id=ids["deployment"], team_id=ids["team"], service_id=ids["service"], kind="deploy", trigger="api", warnings=[],
                number=1, requested_by="bench", source={}, config={}, state="running", started_at=now(),
            )
        )  # fmt: skip
    return ids["deployment"]
