"""Only the build that takes all the memory is ended, with a reason; nothing else is affected."""

import pytest
from tests.faults.machine import BUSYBOX, Machine, await_step, slowest

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("machine"), pytest.mark.timeout(120)]

HUNGRY = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox sleep 2; /bin/busybox tail /dev/zero"]
"""
"""`tail` waits for the end of a line that never ends."""


def test_a_build_out_of_memory_says_so(computer: Machine) -> None:
    site, before = computer.site, computer.ask()
    deployment_id = site.deploy({"Dockerfile": HUNGRY, "busybox": BUSYBOX.read_bytes()})
    await_step(site, deployment_id, "build_image")
    assert slowest(lambda: site.get(f"/api/v1/services/{site.id}"), times=40, every=0.1) < 1
    ended = site.wait(deployment_id)
    assert (ended["state"], ended["code"]) == ("failed", "build-out-of-memory"), ended
    assert "200 MiB" in ended["reason"]
    assert computer.ask() == before
    assert computer.commands(deployment_id) == []
