"""A newer Orca has migrated the database: older processes finish what they work on, take no more, and end."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from tests.conftest import NO_TLS, Panel, docker_client, make_panel, remove_all_of, until
from tests.faults.machine import await_step, web
from tests.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(600)]
WEB = {"type": "web", "ports": [{"port": 8080, "public": True}]}
WAITING = "until [ -e /go ]; do /bin/busybox sleep 0.2; done; exec /bin/busybox httpd -f -p 8080 -h /www"


@pytest.fixture
def panel(tmp_path: Path, postgres_url: str) -> Iterator[Panel]:
    made = make_panel(tmp_path / "panel", DATABASE_URL=postgres_url)
    made.real = True
    made.start()
    try:
        made.wait_ready(120)
        yield made
    finally:
        made.stop()
        remove_all_of(made)


@pytest.fixture
def worker(panel: Panel, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "orca.server.worker"], env=panel.env, stdout=log, stderr=log)
    until(lambda: "worker_started" in (tmp_path / "worker.log").read_text(), seconds=120, what="the worker has started")
    yield process
    if process.poll() is None:
        process.kill()
        process.wait(10)


def test_serve_and_worker_of_an_older_version_drain(
    panel: Panel, request: pytest.FixtureRequest, postgres_url: str, tmp_path: Path
) -> None:
    running = Site(panel, "running", {
        **WEB, "command": ["/bin/busybox", "sh", "-c", WAITING], "health": {"type": "http", "start_period": 200},
    }).create()  # fmt: skip
    other = Site(panel, "other", WEB).create()
    under_way = running.deploy(web("here"))
    await_step(running, under_way, "check_health")
    worker: subprocess.Popen[bytes] = request.getfixturevalue("worker")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    assert worker.wait(60) == 1
    assert "This worker ends: a newer Orca has brought the database up to date" in (tmp_path / "worker.log").read_text()
    ready = until(lambda: _not_ready(panel), what="the panel says that it drains")
    assert "a newer Orca" in ready["checks"]["tasks"]
    late = other.deploy(web("late"))

    [container] = running.containers()
    touch = ["exec", container["name"], "/bin/busybox", "touch", "/go"]
    subprocess.run([docker_client(), *touch], check=True, capture_output=True)
    assert running.wait(under_way)["state"] == "succeeded"
    assert panel.process is not None
    assert panel.process.wait(60) == 1
    assert "Orca ends: a newer Orca has brought the database up to date" in panel.log
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute("SELECT state FROM deployments WHERE id = %s", [late]).fetchall()
    assert rows == [("queued",)]


def _not_ready(panel: Panel) -> dict[str, dict[str, str]] | None:
    answer = httpx.get(f"{panel.url}/api/health/ready", timeout=10, verify=NO_TLS)
    found: dict[str, dict[str, str]] = answer.json()
    return found if answer.status_code == 503 else None
