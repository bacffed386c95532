"""Docker is restarted, stopped or killed under Orca: unknown meanwhile, and afterwards all goes on by itself."""

import random
import time
from collections.abc import Callable

import pytest
from tests.conftest import until
from tests.faults.machine import Machine, await_step, web

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(180)]

AWAY_SECONDS = 3.0
RECOVERY_SECONDS = 60


def test_deployments_wait_for_docker(computer: Machine) -> None:
    building, checked = computer.site, computer.make_site("waiting")
    checked.go_live(web("before"))
    busy = [(checked, checked.deploy(web("after", boot=4))), (building, building.deploy(web("after", build=4)))]
    for (site, deployment_id), step in zip(busy, ("check_health", "build_image"), strict=True):
        await_step(site, deployment_id, step)
    computer.stop_docker()
    time.sleep(AWAY_SECONDS)
    computer.start_docker()
    for site, deployment_id in busy:
        ended = site.wait(deployment_id, RECOVERY_SECONDS)
        assert ended["state"] == "succeeded", (ended, site.log_of(deployment_id))
        assert computer.ask(site).strip() == "after"
    for site, deployment_id in busy:
        computer.check_whole(site, deployment_id)


@pytest.mark.parametrize(("seed", "end"), [(2, Machine.kill_docker), (5, Machine.stop_docker)])
def test_a_deployment_survives_a_restart_of_docker_at_any_moment(
    computer: Machine, seed: int, end: Callable[[Machine], None]
) -> None:
    chance = random.Random(seed)
    site, text = computer.site, f"docker seed {seed}"
    deployment_id = site.deploy(web(text, build=1.5, boot=0.5))
    time.sleep(chance.uniform(0, 5))
    end(computer)
    time.sleep(chance.uniform(0, AWAY_SECONDS))
    computer.start_docker()
    ended = site.wait(deployment_id, RECOVERY_SECONDS)
    assert ended["state"] == "succeeded", (ended, site.log_of(deployment_id))
    until(lambda: computer.answers(text), seconds=30, what="the new text")
    computer.check_whole(site, deployment_id)
