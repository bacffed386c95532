"""Docker is away, or answers late: the panel stays quick and says `unknown`, and nothing is done for no reason."""

import time
from collections.abc import Callable

import pytest
from tests.conftest import until
from tests.faults.machine import Machine, await_death, await_step, slowest, web

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(180)]

LATE_SECONDS = 12.0
"""Longer than any call that only asks waits."""


def deployments(computer: Machine) -> list[str]:
    page = computer.site.get(f"/api/v1/services/{computer.site.id}/deployments")
    return [each["id"] for each in page["items"]]


def is_observed(computer: Machine) -> bool:
    with computer.panel.client() as http:
        answer = http.get(f"/api/v1/services/{computer.site.id}/containers")
        return answer.status_code == 200 and [each["state"] for each in answer.json()] == ["running"]


def check_unknown(computer: Machine) -> None:
    until(lambda: not is_observed(computer), seconds=15, what="Docker is seen to be away")
    with computer.panel.client() as http:
        answer = http.get(f"/api/v1/services/{computer.site.id}/containers")
        assert (answer.status_code, answer.json()["code"]) == (503, "provider-unavailable")
        assert "The engine does not answer" in http.get(f"/services/{computer.site.id}").text
        for path in ("/", f"/services/{computer.site.id}"):
            assert slowest(lambda path=path: http.get(path).raise_for_status(), times=5) < 1  # type: ignore[misc]


def restart(computer: Machine) -> None:
    computer.stop_docker()
    check_unknown(computer)
    computer.start_docker()


def fall_silent(computer: Machine) -> None:
    computer.freeze()
    check_unknown(computer)
    assert computer.ask(), "the site needs no Docker to answer"
    computer.thaw()


@pytest.mark.parametrize("hurt", [restart, fall_silent])
def test_an_idle_panel_knows_that_it_does_not_know(computer: Machine, hurt: Callable[[Machine], None]) -> None:
    until(lambda: is_observed(computer), seconds=30, what="the site is observed")
    before = deployments(computer), computer.site.get("/api/v1/events")["items"]
    hurt(computer)
    until(lambda: is_observed(computer), seconds=30, what="the site is observed again")
    until(lambda: computer.answers(""), seconds=10, what="the site answers")
    assert (deployments(computer), computer.site.get("/api/v1/events")["items"]) == before


def test_deployments_wait_for_a_docker_that_answers_late(computer: Machine) -> None:
    building, checked = computer.site, computer.make_site("checked")
    checked.go_live(web("before"))
    busy = [(checked, checked.deploy(web("late", boot=4))), (building, building.deploy(web("late", build=4)))]
    for (site, deployment_id), step in zip(busy, ("check_health", "build_image"), strict=True):
        await_step(site, deployment_id, step)
    computer.freeze()
    time.sleep(LATE_SECONDS)
    assert computer.ask(), "the site needs no Docker to answer"
    computer.thaw()
    for site, deployment_id in busy:
        ended = site.wait(deployment_id)
        assert ended["state"] == "succeeded", (ended, site.log_of(deployment_id))
        assert computer.ask(site).strip() == "late"
    for site, deployment_id in busy:
        computer.check_whole(site, deployment_id)


def test_traffic_moves_back_while_docker_is_away(computer: Machine) -> None:
    """Killed after traffic moved, and cancelled before Docker answers: the old release is live again without it."""
    site, panel = computer.make_site("moved"), computer.panel
    site.go_live(web("before"))
    panel.stop()
    panel.start(ORC_CRASH_AT="route_traffic.stored")
    panel.wait_ready()
    moving = site.deploy(web("after"))
    await_death(panel)
    computer.freeze()
    panel.start()
    panel.wait_ready()
    site.post(f"/api/v1/deployments/{moving}/cancel")
    ended = site.wait(moving, seconds=60)
    assert ended["state"] == "cancelled", (ended, site.log_of(moving), panel.log)
    assert computer.ask(site).strip() == "before", "neither the proxy nor the database waits for Docker"
    computer.thaw()
    next_one = site.go_live(web("next"))["id"]
    assert computer.ask(site).strip() == "next"
    computer.check_whole(site, next_one)
