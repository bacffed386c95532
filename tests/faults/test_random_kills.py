"""SIGKILL of the panel at random instants: the invariants of the crash points hold there too."""

import random
import time

import pytest
from tests.e2e.traffic import Traffic
from tests.faults.machine import Machine, web

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(180)]

LATEST_SECONDS = 5.0
"""A little longer than the deployment takes."""
RECOVERY_SECONDS = 60
SEEDS = range(24)


@pytest.mark.sampled
@pytest.mark.parametrize("seed", SEEDS)
def test_a_deployment_survives_a_kill_at_any_moment(computer: Machine, seed: int) -> None:
    chance = random.Random(seed)
    panel, site, text = computer.panel, computer.site, f"seed {seed}"
    with Traffic(f"http://127.0.0.1:{panel.http_port}/", site.hostname, rate=20, threads=1) as traffic:
        deployment_id = site.deploy(web(text, build=1.5, boot=0.5))
        time.sleep(chance.uniform(0, LATEST_SECONDS))
        panel.kill()
        panel.start()
        panel.wait_ready()
        ended = site.wait(deployment_id, RECOVERY_SECONDS)
    assert ended["state"] == "succeeded", (ended, site.log_of(deployment_id))
    assert computer.ask().strip() == text
    assert traffic.failures == []
    computer.check_whole(site, deployment_id)
