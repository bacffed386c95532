"""The plug is pulled: panel, proxy, Docker and containers die at once. After the start all is as it should be."""

import time

import pytest
from tests.conftest import until
from tests.faults.machine import Machine, await_step, web

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(300)]

BACK_SECONDS = 120
TEXT = "after the cut"


def test_everything_comes_back_in_order_without_a_registry(computer: Machine) -> None:
    building, checked, rested = (computer.make_site(name) for name in ("building", "starting", "resting"))
    for site in (building, checked, rested):
        site.go_live(web("before the cut"))
    assert rested.wait(rested.post(f"/api/v1/services/{rested.id}/stop")["id"])["state"] == "succeeded"
    [home] = computer.site.containers()
    busy = [(checked, checked.deploy(web(TEXT, boot=4))), (building, building.deploy(web(TEXT, build=4)))]
    for (site, deployment_id), step in zip(busy, ("check_health", "build_image"), strict=True):
        await_step(site, deployment_id, step)
    computer.power_off()
    begun = time.monotonic()
    computer.panel.start()
    computer.panel.wait_ready()
    time.sleep(2)
    computer.start_docker()
    until(lambda: computer.answers(""), seconds=BACK_SECONDS, what="the idle site answers")
    for site, deployment_id in busy:
        ended = site.wait(deployment_id, BACK_SECONDS)
        assert ended["state"] == "succeeded", (ended, site.log_of(deployment_id))
        assert computer.ask(site).strip() == TEXT
    for site, deployment_id in busy:
        computer.check_whole(site, deployment_id)
    assert time.monotonic() - begun < BACK_SECONDS
    assert [(each["name"], each["state"]) for each in computer.site.containers()] == [(home["name"], "running")]
    assert rested.containers() == []
