"""Docker is restarted, stopped or killed under Orca: unknown meanwhile, and afterwards all goes on by itself."""

import random
import time

import pytest
from tests.conftest import until
from tests.faults.machine import Machine, web
from tests.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(180)]

AWAY_SECONDS = 3.0
RECOVERY_SECONDS = 60
SEEDS = (0, 2, 3, 5)


def step_runs(site: Site, deployment_id: str, name: str) -> bool:
    steps = {step["name"]: step["state"] for step in site.deployment(deployment_id)["steps"]}
    return steps.get(name) == "running"


@pytest.mark.parametrize("step", ["build_image", "check_health"])
def test_a_deployment_waits_for_docker(computer: Machine, step: str) -> None:
    site, text = computer.site, f"after a restart in {step}"
    deployment_id = site.deploy(web(text, build=4 if step == "build_image" else 0, boot=3))
    until(lambda: step_runs(site, deployment_id, step), seconds=30, what=f"{step} runs")
    time.sleep(1)
    computer.stop_docker()
    time.sleep(AWAY_SECONDS)
    computer.start_docker()
    ended = site.wait(deployment_id, RECOVERY_SECONDS)
    assert ended["state"] == "succeeded", (ended, site.log_of(deployment_id))
    assert computer.ask().strip() == text
    computer.check_whole(site, deployment_id)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_deployment_survives_a_restart_of_docker_at_any_moment(computer: Machine, seed: int) -> None:
    chance = random.Random(seed)
    site, text = computer.site, f"docker seed {seed}"
    deployment_id = site.deploy(web(text, build=1.5, boot=0.5))
    time.sleep(chance.uniform(0, 5))
    if chance.random() < 0.5:
        computer.stop_docker()
    else:
        computer.kill_docker()
    time.sleep(chance.uniform(0, AWAY_SECONDS))
    computer.start_docker()
    ended = site.wait(deployment_id, RECOVERY_SECONDS)
    assert ended["state"] == "succeeded", (ended, site.log_of(deployment_id))
    until(lambda: computer.answers(text), seconds=30, what="the new text")
    computer.check_whole(site, deployment_id)
