"""Pages and lists of a large instance: 1,000 services, 100,000 events."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert
from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app

from orca.db import now
from orca.events import GENESIS, Event, chain_hash
from orca.features.services.models import Environment, Project, Service
from orca.kit.ids import new_id

SERVICES = 1_000
EVENTS = 100_000
ROUNDS = 25


def pages_with_many_rows() -> list[tuple[str, str, str, bool]]:
    with tempfile.TemporaryDirectory(prefix="orca-bench-") as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[tuple[str, str, str, bool]]:
    rows = []
    async with running_app(make_settings(folder / "data")) as app:
        await claim(app)
        async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as http:
            team = (await http.get("/api/v1/me")).json()["team_id"]
            project = await _fill(app.state.resources.db, team)
            for label, path in (
                ("overview page", "/"), ("project page", f"/projects/{project}"), ("activity page", "/activity"),
                ("services, API", f"/api/v1/projects/{project}/services?limit=200"), ("events, API", "/api/v1/events?limit=200"),
            ):  # fmt: skip
                times = []
                for _ in range(ROUNDS):
                    started = time.perf_counter()
                    answer = await http.get(path)
                    times.append((time.perf_counter() - started) * 1000)
                    assert answer.status_code == 200, answer.text
                p95 = statistics.quantiles(times, n=20)[18]
                rows.append(
                    (f"{label}, {SERVICES:,} services, {EVENTS:,} events", "p95 ≤ 100 ms", f"{p95:.0f} ms", p95 <= 100)
                )
    return rows


async def _fill(db, team: str) -> str:
    project, environment = new_id(), new_id()
    async with db.write() as session:
        session.add(Project(id=project, team_id=team, name="Many", slug="many"))
        await session.flush()
        session.add(Environment(id=environment, team_id=team, project_id=project, name="Production", slug="production"))
        await session.flush()
        for number in range(SERVICES):
            session.add(
                Service(
                    team_id=team, project_id=project, environment_id=environment, name=f"Service {number}",
                    slug=f"service-{number}", kind="web", source={"type": "directory"}, build={}, ports=[],
                    health={"type": "auto", "path": "/", "start_period": 60}, resources={}, command=[], release_command=[],
                )
            )  # fmt: skip
    previous = GENESIS
    async with db.write() as session:
        for _ in range(EVENTS // 2000):
            batch = []
            for _ in range(2000):
                event = Event(
                    at=now(), type="ServiceUpdated", team_id=team, actor="bench", via="system", ip=None,
                    object_type="service", object_id=project, outcome="done", request_id=None, payload={},
                    previous_hash=previous,
                )  # fmt: skip
                event.hash = previous = chain_hash(event)
                batch.append({c.name: getattr(event, c.name) for c in Event.__table__.columns if c.name != "seq"})
            await session.execute(insert(Event), batch)
    return project
