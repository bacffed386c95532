"""Where containers listen, and how their own health checks are read."""

import asyncio
from contextlib import suppress

import pytest

from orca.errors import RequestRefused
from orca.providers.engines.docker.listening import parse_tables
from orca.providers.engines.docker.observe import read_health_test
from orca.sdk.workloads import Listener

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0B00007F:A3C1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1
   3: 0200007F:1F91 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 4 1
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000001000000:2407 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 0000000000000000FFFF00000100007F:2408 00000000000000000000000000000000:0000 0A 00000000:00000000
   3: nonsense:xx 0 0A
"""


def test_tables_of_the_kernel_are_read() -> None:
    found = [(each.port, each.is_loopback) for each in parse_tables(TABLE)]
    assert found == [(3000, False), (5432, True), (8080, False), (9223, True), (9224, True)]


@pytest.mark.parametrize(
    ("config", "command"),
    [
        ({"Healthcheck": {"Test": ["CMD", "a", "b"]}}, ("a", "b")), ({"Healthcheck": {"Test": ["CMD-SHELL", "a b"]}}, ("/bin/sh", "-c", "a b")),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "a"]}, "Shell": ["/bin/ash", "-c"]}, ("/bin/ash", "-c", "a")),
        ({"Healthcheck": {"Test": ["NONE"]}}, ()), ({"Healthcheck": None}, ()), ({}, ()), ({"Healthcheck": {"Test": []}}, ()),
    ],
)  # fmt: skip
def test_health_checks_of_images_are_read(config: dict[str, object], command: tuple[str, ...]) -> None:
    assert read_health_test(config) == command


@pytest.mark.docker
async def test_what_listens_in_a_container_is_seen(trial):
    command = "httpd -p 8080; httpd -p 127.0.0.1:9090; sleep 100"
    (container,) = await trial.make(trial.spec("a", "sh", "-c", command))
    found: list[Listener] = []
    for _ in range(200):
        found = await trial.host.find_listeners(container.id) or []
        if len(found) == len(("8080", "9090")):
            break
        await asyncio.sleep(0.1)
    assert found == [Listener(8080, is_loopback=False), Listener(9090, is_loopback=True)]


@pytest.mark.docker
@pytest.mark.parametrize(("program", "code"), [("/missing", 127), ("/unique", 126)])
async def test_a_program_that_cannot_be_executed_leaves_its_code(trial, program, code):
    """With docker-init the container begins and ends; without it, it never begins."""
    with suppress(RequestRefused):
        await trial.make(trial.spec("a", entrypoint=(program,), restart="no"))
    for _ in range(200):
        (container,) = await trial.inspect()
        if container.exit_code is not None:
            break
        await asyncio.sleep(0.1)
    assert (container.state in {"created", "exited"}, container.exit_code) == (True, code)
