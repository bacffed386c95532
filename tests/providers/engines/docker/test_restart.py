"""What a restart of Docker leaves as it was, on a Docker of the test's own."""

import asyncio
import contextlib
import secrets
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from orca.errors import ProviderUnavailable
from orca.sdk.testing.containers import HostTrial

pytestmark = [pytest.mark.docker, pytest.mark.slow]


class OwnDocker:
    """A dockerd beside the machine's: its own socket, storage and processes.

    Its network namespace ends with it, and keeps `bridge=none` from deleting the docker0 of the machine.
    """

    def __init__(self, folder):
        self.folder = folder
        self.host = f"unix://{folder}/d.sock"
        self._process = None

    def start(self):
        options = {
            "host": self.host,
            "data-root": f"{self.folder}/data",
            "exec-root": f"{self.folder}/exec",
            "pidfile": f"{self.folder}/pid",
            "bridge": "none",
            "iptables": "false",
            "ip-masq": "false",
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "dockerd", *(f"--{name}={value}" for name, value in options.items())],
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 60
        while self.client("version", check=False).returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < until
            time.sleep(0.1)

    def stop(self):
        self._process.terminate()
        self._process.wait(60)

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def client(self, *arguments, check=True, **options):
        return subprocess.run(
            ["docker", "--host", self.host, *arguments], check=check, capture_output=True, timeout=60, **options
        )


@pytest.fixture
def own_docker(scratch):
    own = OwnDocker(scratch)
    own.start()
    yield own
    own.thaw()
    own.stop()
    for process in psutil.process_iter(["cmdline"]):  # shims, should it have died before its containers
        if any(str(scratch) in part for part in process.info["cmdline"] or ()):
            for each in (*process.children(recursive=True), process):
                each.kill()
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in sorted(mounts, reverse=True):
        if mount.startswith(f"{scratch}/"):
            subprocess.run(["umount", "--lazy", mount], check=False)


@pytest.fixture
async def trial(own_docker, open_host, image):
    saved = subprocess.run(["docker", "save", image], check=True, capture_output=True, timeout=60).stdout
    own_docker.client("load", input=saved)
    host = await open_host(host=own_docker.host, address_pool=f"10.209.{secrets.randbelow(256)}.0/24")
    trial = HostTrial(host, image)
    yield trial
    with contextlib.suppress(ProviderUnavailable):
        await trial.clean()


async def test_addresses_and_containers_outlive_docker(trial, own_docker):
    stopped, running = trial.spec("stopped"), trial.spec("running", restart="always")
    before = {container.name: container for container in await trial.make(stopped, running)}
    await trial.host.stop(before[stopped.name].id, grace=0)
    own_docker.stop()
    with pytest.raises(ProviderUnavailable):
        await trial.inspect()
    own_docker.start()
    again = await trial.reach(running, "running")
    assert (again.id, again.address) == (before[running.name].id, before[running.name].address)
    assert (await trial.reach(stopped, "exited")).address == before[stopped.name].address
    await trial.make(stopped)
    assert (await trial.reach(stopped, "running")).address == before[stopped.name].address


async def test_a_run_that_docker_s_end_ended_is_reported_not_repeated(trial, own_docker):
    lines = []

    async def progress(line):
        lines.append(line)

    spec = trial.spec("migrate", "sh", "-c", "echo begun; sleep 600")
    running = asyncio.ensure_future(trial.host.run_once(spec, deadline=120, progress=progress))
    before = await trial.reach(spec, "running")
    await asyncio.to_thread(own_docker.stop)
    (outcome,) = await asyncio.gather(running, return_exceptions=True)
    assert isinstance(outcome, ProviderUnavailable) or outcome != 0
    own_docker.start()
    assert await trial.host.run_once(spec, deadline=60, progress=progress) != 0
    (after,) = await trial.inspect()
    assert (after.id, after.started_at) == (before.id, before.started_at)


async def test_a_frozen_docker_is_unknown_and_then_known_again(trial, own_docker):
    spec = trial.spec("web")
    (before,) = await trial.make(spec)
    own_docker.freeze()
    with pytest.raises(ProviderUnavailable, match="did not answer"):
        await trial.inspect()
    own_docker.thaw()
    (after,) = await trial.inspect()
    assert after == before
