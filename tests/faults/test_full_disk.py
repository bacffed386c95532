"""The disk fills up: builds are refused, the panel and the sites stay up, and all goes on when there is room again."""

import time
from collections.abc import Iterator

import httpx
import pytest
from tests.conftest import until
from tests.faults.machine import RESERVE_MB, Machine, await_step, web

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(180)]


@pytest.fixture
def filling(computer: Machine) -> Iterator[Machine]:
    yield computer
    computer.free_space()


def test_builds_are_refused_below_the_reserve(filling: Machine) -> None:
    site, before = filling.site, filling.ask()
    filling.fill(leave_mb=RESERVE_MB + 100)
    ended = site.wait(site.deploy(web("too much")))
    assert (ended["state"], ended["code"]) == ("failed", "disk-too-full"), ended
    assert "free" in ended["hint"].lower()
    assert filling.ask() == before
    filling.fill(leave_mb=RESERVE_MB - 100)
    with filling.panel.client() as http:
        answer = http.post(f"/api/v1/services/{site.id}/uploads", content=b"x" * 1000,
                           headers={"Content-Type": "application/x-tar"})  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (507, "disk-reserve-reached")
        assert http.post("/api/v1/projects", json={"name": "The reserve is for this"}).status_code == 201
    filling.free_space()
    site.go_live(web("room again"))


def test_a_build_is_stopped_before_the_disk_is_full(filling: Machine) -> None:
    site, before = filling.site, filling.ask()
    deployment_id = site.deploy(web("never done", build=20))
    await_step(site, deployment_id, "build_image")
    time.sleep(1)
    filling.fill(leave_mb=RESERVE_MB - 100)
    ended = site.wait(deployment_id, 15)
    assert (ended["state"], ended["code"]) == ("failed", "build-disk-full"), ended
    assert filling.ask() == before
    assert filling.commands(deployment_id) == []


@pytest.mark.parametrize("step", ["build_image", "check_health"])
def test_without_a_byte_left_everything_waits(filling: Machine, step: str) -> None:
    site, before, text = filling.site, filling.ask(), f"after the flood in {step}"
    deployment_id = site.deploy(web(text, build=2 if step == "build_image" else 0, boot=3))
    await_step(site, deployment_id, step)
    until(lambda: is_flooded(filling), seconds=20, what="the database is full")
    time.sleep(4)
    assert filling.ask() == before
    with filling.panel.client() as http:
        assert http.get("/api/health").status_code == 200
        assert http.get(f"/services/{site.id}").status_code == 200
    filling.free_space()
    ended = site.wait(deployment_id)
    if ended["code"] == "build-disk-full":  # on a busy machine it still builds when the guard of the disk looks
        ended = site.wait(site.deploy(web(text)))
    assert (ended["state"], ended["reason"]) == ("succeeded", "")
    until(lambda: can_write(filling), seconds=30, what="the database takes writes again")
    assert filling.ask().strip() == text
    assert site.get("/api/v1/events/verify")["is_intact"]


def can_write(computer: Machine) -> bool:
    """A write of some size, because a full database file may still have room in its pages."""
    with computer.panel.client() as http:
        try:
            answer = http.post("/api/v1/projects", json={"name": f"Project {time.monotonic_ns()}"})
        except httpx.HTTPError:
            return False
    return answer.status_code == 201


def is_flooded(computer: Machine) -> bool:
    """Filled to the brim, again and again: what is undone meanwhile gives some room back."""
    computer.fill(leave_mb=0)
    return not can_write(computer)
