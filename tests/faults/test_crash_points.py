"""Kill the process at every named point of a deployment; after the next start everything ends well, without a human."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Panel, docker_client, make_panel, remove_all_of, until
from tests.faults.machine import await_death, run, web
from tests.sites import Site, page

from orca.features.deployments.pipeline import STEPS

SOURCES = Path(__file__).parents[2] / "src" / "orca" / "features" / "deployments"
GENERIC = ("begun", "done", "told", "recorded")
NAMED = sorted(
    name
    for path in SOURCES.rglob("*.py")
    for name in re.findall(r'crash_point\("([^"]+)"\)', path.read_text())
    if not name.startswith("undo.")
)
BUILDING = ("fetch_source", "build_image", "start_release", "check_health", "route_traffic", "retire_previous")
POINTS = [*(f"{step}.{moment}" for step in BUILDING for moment in GENERIC), *NAMED]
MIGRATING = tuple(f"run_release_command.{moment}" for moment in GENERIC)
UNDO_POINTS = ["undo.restored", "undo.removed"]
RECOVERY_SECONDS = 60

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("crash-points"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that is live on a panel that will be killed over and over."""
    panel = make_panel(tmp_path_factory.mktemp("crash") / "panel")
    panel.start()
    panel.wait_ready()
    site = Site(panel, "crash").create()
    site.go_live(page("version 0"))
    assert site.hostname
    yield site
    panel.stop()
    remove_all_of(panel)


def restart_with(panel: Panel, point: str) -> None:
    panel.stop()
    panel.start(ORC_CRASH_AT=point)
    panel.wait_ready()


def revive(panel: Panel) -> None:
    panel.start()
    panel.wait_ready()


def leftovers(site: Site) -> list[str]:
    work = site.panel.data_dir / "work"
    return [path.name for path in work.iterdir()] if work.exists() else []


def test_every_step_has_its_points() -> None:
    assert set(BUILDING) <= set(STEPS)
    assert NAMED, "no named crash points were found in the sources"


@pytest.mark.sampled
@pytest.mark.parametrize("point", POINTS)
def test_a_deployment_survives_a_kill(live: Site, point: str) -> None:
    text = f"after {point}"
    restart_with(live.panel, point)
    deployment_id = live.deploy(page(text))
    await_death(live.panel)
    assert "version" in site_text(live) or "after" in site_text(live), "the site went down with the panel"
    revive(live.panel)
    ended = live.wait(deployment_id, RECOVERY_SECONDS)
    assert ended["state"] == "succeeded", ended
    assert text in site_text(live)
    containers = live.containers()
    assert [each["name"] for each in containers] == [f"orca-{deployment_id}-0"]
    assert containers[0]["state"] == "running"
    assert leftovers(live) == []


@pytest.mark.sampled
@pytest.mark.parametrize("point", UNDO_POINTS)
def test_undoing_survives_a_kill(live: Site, point: str) -> None:
    before = site_text(live)
    restart_with(live.panel, point)
    live.edit({"health": {"type": "http", "path": "/missing", "start_period": 2}})
    deployment_id = live.deploy(page("never seen"))
    await_death(live.panel)
    revive(live.panel)
    ended = live.wait(deployment_id, RECOVERY_SECONDS)
    live.edit({"health": {"type": "auto"}})
    assert (ended["state"], ended["code"]) == ("failed", "never-healthy"), ended
    assert site_text(live) == before
    assert [each["name"].startswith(f"orca-{deployment_id}") for each in live.containers()] == [False]
    assert leftovers(live) == []


@pytest.fixture(scope="module")
def migrating(live: Site) -> Site:
    """One more site on that panel, which counts the runs of its release command in a volume that it serves."""
    site = Site(live.panel, "migrating", {
        "type": "web", "ports": [{"port": 8080, "public": True}], "volumes": [{"name": "data", "path": "/www/data"}],
        "release_command": ["/bin/busybox", "sh", "-c", "echo ran >> /www/data/runs"],
    }).create()  # fmt: skip
    site.go_live(web("version 0"))
    return site


RECREATING = [
    *(f"stop_previous.{moment}" for moment in GENERIC), "start_release.begun", "check_health.done",
    "route_traffic.stored", "retire_previous.begun",
]  # fmt: skip
LOCKING = """\
/bin/busybox mkdir /www/data/lock || exit 1
trap '/bin/busybox rmdir /www/data/lock; exit 0' TERM
/bin/busybox httpd -f -p 8080 -h /www & wait"""
"""Refuses to run while another one has the volume."""


@pytest.fixture(scope="module")
def alone(live: Site) -> Site:
    """One more site on that panel; two of its processes at a time would show."""
    site = Site(live.panel, "alone", {
        "type": "web", "ports": [{"port": 8080, "public": True}], "volumes": [{"name": "lock", "path": "/www/data"}],
        "command": ["/bin/busybox", "sh", "-c", LOCKING], "restart": "no",
    }).create()  # fmt: skip
    site.go_live(web("version 0"))
    return site


@pytest.mark.sampled
@pytest.mark.parametrize("point", RECREATING)
def test_never_two_releases_work_on_a_volume(alone: Site, point: str) -> None:
    restart_with(alone.panel, point)
    deployment_id = alone.deploy(web(f"after {point}"))
    await_death(alone.panel)
    revive(alone.panel)
    ended = alone.wait(deployment_id, RECOVERY_SECONDS)
    assert ended["state"] == "succeeded", (ended, alone.log_of(deployment_id))
    assert alone.answers().strip() == f"after {point}"
    assert [each["name"] for each in alone.containers()] == [f"orca-{deployment_id}-0"]


@pytest.mark.sampled
@pytest.mark.parametrize("point", [*UNDO_POINTS, "stop_previous.done"])
def test_the_old_release_runs_again_when_the_new_one_fails(alone: Site, point: str) -> None:
    before, containers = alone.answers(), [each["name"] for each in alone.containers()]
    restart_with(alone.panel, point)
    alone.edit({"health": {"type": "http", "path": "/missing", "start_period": 2}})
    deployment_id = alone.deploy(web("never seen"))
    await_death(alone.panel)
    revive(alone.panel)
    ended = alone.wait(deployment_id, RECOVERY_SECONDS)
    alone.edit({"health": {"type": "auto"}})
    assert (ended["state"], ended["code"]) == ("failed", "never-healthy"), ended
    assert ended["hint"].endswith("The old release is started again.")
    until(lambda: alone.answers() == before, seconds=10, what="the old release answers")
    assert [each["name"] for each in alone.containers()] == containers


def ended_commands(site: Site) -> str:
    labels = (f"label=orca.service={site.id}", "label=orca.role=release-command")
    filters = [word for label in labels for word in ("--filter", label)]
    return run(docker_client(), "ps", "--all", "--quiet", *filters)


@pytest.mark.sampled
@pytest.mark.parametrize("point", MIGRATING)
def test_a_release_command_runs_once_whatever_is_killed(migrating: Site, point: str) -> None:
    runs = migrating.answers("/data/runs").split()
    restart_with(migrating.panel, point)
    deployment_id = migrating.deploy(web(f"after {point}"))
    await_death(migrating.panel)
    revive(migrating.panel)
    ended = migrating.wait(deployment_id, RECOVERY_SECONDS)
    assert ended["state"] == "succeeded", ended
    assert migrating.answers().strip() == f"after {point}"
    assert migrating.answers("/data/runs").split() == [*runs, "ran"]
    assert ended_commands(migrating) == ""
    assert leftovers(migrating) == []


def site_text(site: Site) -> str:
    """Asked of the proxy, which must answer while the panel is dead."""
    answer = site.panel.site(site.hostname)
    assert answer.status_code == 200, answer.text
    return answer.text
