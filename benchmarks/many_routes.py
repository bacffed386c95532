"""A thousand routes: what one change, one redeployment and a start of the panel take among them."""

import asyncio
import statistics
import time
from datetime import datetime

import httpx
import psutil
from tests.conftest import Panel, until
from tests.sites import Site, page

from benchmarks.panels import new_panel
from orca.db import Database
from orca.features.projects.models import Environment, Project
from orca.features.routing.models import Route, Target
from orca.features.routing.schemas.routes import RouteOptions
from orca.features.services.models import Service
from orca.kit.ids import new_id
from orca.settings import Settings

ROUTES = 1_000
ROUNDS = 7
HTTP = [{"name": "http", "port": 8080, "public": True}]


def thousand_routes() -> list[tuple[str, str, str, bool]]:
    with new_panel() as panel:
        panel.start()
        panel.wait_ready()
        site = Site(panel, "routes").create()
        site.go_live(page("version 0"))
        panel.stop()
        asyncio.run(_fill(panel))
        panel.start()
        panel.wait_ready()
        last = f"many-{ROUTES - 1}.localhost"
        until(lambda: _status(panel, last) == 502, seconds=120, what=f"{last} is served")
        panel.stop()
        start = _start(panel)
        processes = [psutil.Process(pid) for pid in (panel.process.pid, _caddy(panel))]
        before = _cpu(processes)
        changes = [_change(panel, site, number) for number in range(ROUNDS)]
        cpu = (_cpu(processes) - before) / ROUNDS
        moves = [_move(site, number) for number in range(1, ROUNDS)]
    change, move = statistics.median(changes), statistics.median(moves) * 1000
    return [
        (f"route change → served, {ROUTES:,} routes", "≤ 1.5 s", f"{change:.2f} s, {cpu:.2f} s of CPU", change <= 1.5),
        (f"redeployment, step `route_traffic`, {ROUTES:,} routes", "≤ 300 ms", f"{move:.0f} ms", move <= 300),
        (f"`orc serve`, {ROUTES:,} routes: start to first healthy answer", "≤ 2 s", f"{start:.1f} s", start <= 2),
    ]


def _status(panel: Panel, hostname: str) -> int:
    """0 when a reload closed the connection before the request was read (decision 2 says why)."""
    try:
        return panel.site(hostname).status_code
    except httpx.RemoteProtocolError:
        return 0


async def _fill(panel: Panel) -> None:
    """A thousand services with a route each; nothing listens at their only replica."""
    db = Database(Settings(data={"dir": panel.data_dir}).database)
    async with db.write() as session:
        team = (await session.execute(Project.__table__.select())).mappings().first()["team_id"]
        project = Project(id=new_id(), team_id=team, name="Many", slug="many")
        session.add(project)
        await session.flush()
        place = Environment(id=new_id(), team_id=team, project_id=project.id, name="Production", slug="production")
        session.add(place)
        await session.flush()
        services = [
            Service(
                id=new_id(), team_id=team, project_id=project.id, environment_id=place.id, name=f"Service {number}",
                slug=f"service-{number}", kind="web", source={"type": "directory"}, build={}, ports=HTTP, health={},
                resources={}, command=[], release_command=[],
            )
            for number in range(ROUTES)
        ]  # fmt: skip
        session.add_all(services)
        await session.flush()
        for number, service in enumerate(services):
            session.add(
                Route(
                    team_id=team, service_id=service.id, hostname=f"many-{number}.localhost", path_prefix="/",
                    tls="internal", options=RouteOptions(timeout=0.2).model_dump(), acme_failures=0,
                )
            )  # fmt: skip
            session.add(
                Target(team_id=team, service_id=service.id, release_id="x", replica=1, address="127.0.0.1", ports=HTTP)
            )
    await db.close()


def _start(panel: Panel) -> float:
    started = time.perf_counter()
    panel.start()
    while True:
        try:
            if httpx.get(f"{panel.url}/api/health", timeout=1).status_code == 200:
                return time.perf_counter() - started
        except httpx.HTTPError:
            time.sleep(0.01)


def _caddy(panel: Panel) -> int:
    return int((panel.data_dir / "proxy" / "router.pid").read_text().split()[0])


def _cpu(processes: list[psutil.Process]) -> float:
    """With the children that ended: `caddy validate` is one."""
    return sum(sum(process.cpu_times()[:4]) for process in processes)


def _change(panel: Panel, site: Site, number: int) -> float:
    hostname = f"bench-{number}.localhost"
    with panel.client() as api:
        started = time.perf_counter()
        api.post(f"/api/v1/services/{site.id}/routes", json={"hostname": hostname}).raise_for_status()
        until(lambda: _status(panel, hostname) == 200, seconds=30, every=0.005, what=f"{hostname} is served")
        return time.perf_counter() - started


def _move(site: Site, number: int) -> float:
    """How long the proxy took to send visitors to the new release, as the panel wrote it down."""
    deployment = site.deployment(site.go_live(page(f"version {number}"))["id"])
    (step,) = (each for each in deployment["steps"] if each["name"] == "route_traffic")
    begun, ended = (datetime.fromisoformat(step[at]) for at in ("started_at", "finished_at"))
    return (ended - begun).total_seconds()
