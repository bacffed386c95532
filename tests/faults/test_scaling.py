"""Scaling under steady requests and under kills: the replicas that stay are the same containers all the time."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import docker_client, make_panel, remove_all_of
from tests.e2e.traffic import Traffic
from tests.faults.machine import await_death, web
from tests.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("scaling")]
SETTINGS = {
    "type": "web", "ports": [{"port": 8080, "public": True}], "replicas": 2, "stop_grace": 2,
    "volumes": [{"name": "data", "path": "/www/data"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two replicas that share a volume: a new release would stop them both first."""
    panel = make_panel(tmp_path_factory.mktemp("scale") / "panel")
    panel.start()
    panel.wait_ready(120)
    site = Site(panel, "scaled", SETTINGS).create()
    site.go_live(web("version 1"))
    assert site.hostname
    yield site
    panel.stop()
    remove_all_of(panel)


def running(site: Site) -> dict[str, tuple[Any, ...]]:
    """Id -> since when, and how often it was restarted; as Docker says."""
    argv = [docker_client(), "ps", "--quiet", "--filter", f"label=orca.service={site.id}", "--filter", "status=running"]
    found = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    if not found:
        return {}
    facts = subprocess.run([docker_client(), "inspect", *found], capture_output=True, text=True, check=True).stdout
    return {each["Id"]: (each["State"]["StartedAt"], each["RestartCount"]) for each in json.loads(facts)}


def ask_for(site: Site, replicas: int) -> str:
    return str(site.post(f"/api/v1/services/{site.id}/scale", {"replicas": replicas})["id"])


def scale(site: Site, replicas: int) -> dict[str, tuple[Any, ...]]:
    ended = site.wait(ask_for(site, replicas))
    assert ended["state"] == "succeeded", (ended, site.log_of(ended["id"]))
    assert len(site.containers()) == replicas
    return running(site)


def test_scaling_keeps_containers_and_loses_no_request(site: Site) -> None:
    two = running(site)
    url = f"http://127.0.0.1:{site.panel.http_port}/"
    with Traffic(url, site.hostname, rate=40) as traffic:
        three = scale(site, 3)
        one = scale(site, 1)
    assert traffic.failures == []
    assert traffic.total > 40
    assert two.items() < three.items()
    assert one.items() < two.items()
    release = site.get(f"/api/v1/services/{site.id}/releases")["items"]
    assert [(each["number"], each["is_live"]) for each in release] == [(1, True)]
    assert [each["release"] for each in site.containers()] == [1]


@pytest.mark.sampled
@pytest.mark.parametrize("point", ["start_release.done", "check_health.told", "route_traffic.stored"])
def test_scaling_survives_a_kill(site: Site, point: str) -> None:
    kept = scale(site, 1)
    for replicas in (2, 1):
        site.panel.stop()
        site.panel.start(ORC_CRASH_AT=point)
        site.panel.wait_ready(120)
        deployment_id = ask_for(site, replicas)
        await_death(site.panel)
        assert "version" in site.answers()
        site.panel.start()
        site.panel.wait_ready(120)
        ended = site.wait(deployment_id)
        assert ended["state"] == "succeeded", (ended, site.log_of(deployment_id))
        now = running(site)
        assert kept.items() <= now.items()
        assert len(now) == len(site.containers()) == replicas


def test_a_new_release_and_one_to_go_back_to_have_todays_replicas(site: Site) -> None:
    old = scale(site, 2)
    site.go_live(web("version 2"))
    new = scale(site, 3)
    assert not old.keys() & new.keys()
    back = site.wait(site.post(f"/api/v1/services/{site.id}/rollback")["id"])
    assert back["state"] == "succeeded", back
    assert len(running(site)) == 3
    assert not running(site).keys() & new.keys()
    assert site.answers().strip() == "version 1"
    same = site.wait(site.post(f"/api/v1/services/{site.id}/rollback", {"release": 1})["id"])
    assert same["state"] == "succeeded", same
    assert [each["release"] for each in site.containers()] == [1, 1, 1]
    with site.panel.client() as http:
        page = http.get(f"/services/{site.id}")
    assert "3 of 3 running" in page.text
    logs = site.get(f"/api/v1/services/{site.id}/containers")
    assert sorted(each["replica"] for each in logs) == [0, 1, 2]
