"""Pages and lists of a large instance, asked over HTTP: the time they take and what they cost the panel in CPU."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
from tests.conftest import OWNER, Panel

from benchmarks.large import EVENTS, LOG_LINES, SERVICES, Large, fill, remove_containers, start_containers
from benchmarks.panels import new_panel

ROUNDS = 40
BUDGET_MS = 100


def pages_with_many_rows() -> list[tuple[str, str, str, bool]]:
    with large_panel() as (panel, large, running), _client(panel) as http:
        assert panel.process is not None
        process = psutil.Process(panel.process.pid)
        return [_row(label, path, http, process, running) for label, path in paths(large).items()]


@contextmanager
def large_panel() -> Iterator[tuple[Panel, Large, int]]:
    """Without a worker, whose duties would run in between now and then."""
    with new_panel(ORC_WORKER="false") as panel:
        panel.start()
        panel.wait_ready()
        token = (panel.data_dir / "claim-token").read_text().strip()
        with panel.client() as local:
            local.post("/api/v1/claim", json={**OWNER, "token": token}).raise_for_status()
            team = local.get("/api/v1/me").json()["team_id"]
        large = asyncio.run(fill(panel.data_dir, team))
        try:
            yield panel, large, asyncio.run(start_containers(panel.data_dir))
        finally:
            remove_containers(panel.instance)


def paths(large: Large) -> dict[str, str]:
    service, api = f"/services/{large.service}", "/api/v1"
    return {
        "overview page": "/",
        "projects page": "/projects",
        "project page": f"/projects/{large.project}",
        "service page": service,
        "deployments page": f"{service}/deployments",
        f"deployment page, {LOG_LINES:,} log lines": f"/deployments/{large.deployment}",
        "activity page": "/activity",
        "activity page, one type": "/activity?type=ServiceUpdated",
        "tokens page": "/tokens",
        "command palette": "/palette?q=service+09",
        "services, API": f"{api}/projects/{large.project}/services?limit=200",
        "deployments, API": f"{api}/services/{large.service}/deployments?limit=200",
        "events, API": f"{api}/events?limit=200",
        "events of one object, API": f"{api}/events?object_id={large.service}&limit=200",
    }


@contextmanager
def _client(panel: Panel) -> Iterator[httpx.Client]:
    """A browser in which the owner is signed in: pages take no tokens."""
    with httpx.Client(base_url=panel.url, timeout=30) as http:
        owner = {"email": OWNER["email"], "password": OWNER["password"]}
        http.post("/api/v1/session", json=owner).raise_for_status()
        yield http


def _row(
    label: str, path: str, http: httpx.Client, process: psutil.Process, running: int
) -> tuple[str, str, str, bool]:
    walls = []
    before = process.cpu_times()
    for _ in range(ROUNDS):
        started = time.perf_counter()
        answer = http.get(path)
        walls.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, answer.text
    after = process.cpu_times()
    wall = statistics.quantiles(walls, n=20)[18]
    cpu = (after.user + after.system - before.user - before.system) / ROUNDS * 1000
    what = f"{label}; {SERVICES:,} services, {running} containers, {EVENTS:,} events"
    return what, f"p95 ≤ {BUDGET_MS} ms", f"{wall:.0f} ms ({cpu:.0f} ms CPU)", wall <= BUDGET_MS
