"""A computer of the test's own: a small disk, a dockerd, and a panel with its proxy; each can be broken without disturbing anything else.

The dockerd runs beside the machine's, in the same network, because the proxy must reach the containers. It has a bridge
and a range of addresses of its own, and leaves the firewall alone.
"""

import ipaddress
import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from tests.claimed_number import claimed_number
from tests.conftest import Panel, docker_client, make_panel, until
from tests.sites import Site, make_tar

DISK_MB = 3072
RESERVE_MB = 256
BUSYBOX = Path("/bin/busybox")


def web(text: str, *, build: float = 0, boot: float = 0) -> dict[str, str | bytes]:
    """A tree whose image takes `build` seconds to make, and whose process takes `boot` seconds to listen."""
    dockerfile = f"""\
FROM scratch
COPY busybox /bin/busybox
COPY index.html /www/index.html
RUN ["/bin/busybox", "sleep", "{build}"]
CMD ["/bin/busybox", "sh", "-c", "/bin/busybox sleep {boot}; exec /bin/busybox httpd -f -p 8080 -h /www"]
"""
    return {"Dockerfile": dockerfile, "index.html": text, "busybox": BUSYBOX.read_bytes()}


def await_step(site: Site, deployment_id: str, name: str) -> None:
    def runs() -> bool:
        steps = site.deployment(deployment_id)["steps"]
        return any((step["name"], step["state"]) == (name, "running") for step in steps)

    until(runs, seconds=30, what=f"{name} runs")


def await_death(panel: Panel) -> None:
    """Until a panel that was started with `ORC_CRASH_AT` has killed itself there."""
    assert panel.process is not None
    assert panel.process.wait(60) == -signal.SIGKILL


def slowest(ask: Callable[[], object], *, times: int, every: float = 0) -> float:
    """Seconds that the slowest of some requests took."""
    took = []
    for _ in range(times):
        started = time.monotonic()
        ask()
        took.append(time.monotonic() - started)
        time.sleep(every)
    return max(took)


def run(*argv: str, check: bool = True, **options: Any) -> str:
    return subprocess.run(argv, check=check, capture_output=True, text=True, timeout=60, **options).stdout


class Machine:
    """Made from nothing by `build`, which also brings a site to life on it; `destroy` leaves no trace.

    `number`: below 256; machines of different numbers can be there at the same time.
    """

    def __init__(self, number: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="orca-m-"))
        self.disk = self.folder / "disk"
        self.bridge = f"orcam{number}"
        self.bridge_address = ipaddress.ip_interface(f"10.208.{number}.1/24")
        self.pool = list(ipaddress.ip_network("10.192.0.0/12").subnets(new_prefix=20))[number]
        self.docker_host = f"unix://{self.folder}/d.sock"
        self.containerd: subprocess.Popen[bytes] | None = None
        self.dockerd: subprocess.Popen[bytes] | None = None
        self.panel: Panel
        self.site: Site

    def build(self) -> None:
        image = self.folder / "disk.img"
        with image.open("wb") as file:
            file.truncate(DISK_MB << 20)
        run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        self.disk.mkdir()
        run("mount", "-o", "loop", str(image), str(self.disk))
        self.panel = make_panel(
            self.disk / "panel", ORC_DOCKER_HOST=self.docker_host, ORC_DOCKER_POOL=str(self.pool),
            ORC_DISK_RESERVE_MB=str(RESERVE_MB), ORC_BUILD_MEMORY_MB="200", ORC_BUILD_CONCURRENCY="3",
        )  # fmt: skip
        self.heal()
        self.site = self.make_site("home")
        self.site.go_live(web("version 0"))
        assert self.site.hostname

    def make_site(self, name: str, **fields: Any) -> Site:
        return Site(self.panel, name, {"type": "web", "ports": [{"port": 8080, "public": True}], **fields}).create()

    def heal(self) -> None:
        """Whatever the last test did: Docker runs, the panel is ready."""
        self.thaw()
        if self.dockerd is None or self.dockerd.poll() is not None:
            self.start_docker()
        if self.panel.process is None or self.panel.process.poll() is not None:
            self.panel.start()
        self.panel.wait_ready()

    # ── Docker ──

    def start_docker(self, *, wait: bool = True) -> None:
        if not Path("/sys/class/net", self.bridge).exists():
            run("ip", "link", "add", "name", self.bridge, "type", "bridge")
            run("ip", "address", "add", str(self.bridge_address), "dev", self.bridge)
            run("ip", "link", "set", self.bridge, "up")
        containerd = {
            "address": self.folder / "c.sock", "root": self.disk / "containerd", "state": self.folder / "state",
        }  # fmt: skip
        dockerd = {
            "host": self.docker_host, "data-root": self.disk / "docker", "exec-root": self.folder / "exec",
            "pidfile": self.folder / "pid", "bridge": self.bridge, "iptables": "false", "ip-masq": "false",
            "containerd": containerd["address"],
        }  # fmt: skip
        if self.containerd is None or self.containerd.poll() is not None:
            self.containerd = self._spawn("containerd", containerd)
        self.dockerd = self._spawn("dockerd", dockerd)
        if wait:
            until(self._docker_answers, seconds=60, every=0.2, what="dockerd answers")

    def _spawn(self, program: str, options: dict[str, Any]) -> subprocess.Popen[bytes]:
        argv = [program, *(f"--{name}={value}" for name, value in options.items())]
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)

    def _docker_answers(self) -> bool:
        assert self.dockerd is not None
        assert self.dockerd.poll() is None, (self.folder / "dockerd.log").read_text()[-2000:]
        try:
            self.docker("version")
        except subprocess.CalledProcessError:
            return False
        return True

    def docker(self, *arguments: str, **options: Any) -> str:
        return run(docker_client(), "--host", self.docker_host, *arguments, **options).strip()

    def stop_docker(self) -> None:
        assert self.dockerd is not None
        self.dockerd.terminate()
        self.dockerd.wait(60)

    def kill_docker(self) -> None:
        assert self.dockerd is not None
        self.dockerd.kill()
        self.dockerd.wait(10)

    def freeze(self) -> None:
        assert self.dockerd is not None
        self.dockerd.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.dockerd is not None and self.dockerd.poll() is None:
            self.dockerd.send_signal(signal.SIGCONT)

    def names(self) -> list[str]:
        """Of all containers, ours and others."""
        return self.docker("ps", "--all", "--format", "{{.Names}}").split()

    def make_image(self, reference: str, *changes: str) -> str:
        """An image that answers on port 8080 with what its folder /www holds; its id."""
        files: dict[str, str | bytes] = {"bin/busybox": BUSYBOX.read_bytes(), "www/index.html": reference}
        command = 'CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]'
        options = [option for change in (command, *changes) for option in ("--change", change)]
        archive = self.folder / "image.tar"
        archive.write_bytes(make_tar(files))
        return self.docker("import", *options, str(archive), reference)

    # ── the disk ──

    def fill(self, *, leave_mb: int) -> None:
        """More files, so that only so much is free; 0 is nothing at all."""
        name = self.disk / f"ballast-{time.monotonic_ns()}"
        size = shutil.disk_usage(self.disk).free - (max(leave_mb, 8) << 20)
        if size > 0:
            run("fallocate", "--length", str(size), str(name))
        if leave_mb == 0:  # bit by bit, for the file system needs some for its own books
            run("dd", "if=/dev/zero", f"of={name}-rest", "bs=4096", check=False)

    def free_space(self) -> None:
        for ballast in self.disk.glob("ballast*"):
            ballast.unlink()

    # ── the whole computer ──

    def processes(self) -> list[psutil.Process]:
        """What runs here: all that names this machine's folder in its arguments, and their children."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in argument for argument in process.info["cmdline"] or ()):
                found |= {each.pid: each for each in (process, *_children(process))}
        if self.panel.process is not None and psutil.pid_exists(self.panel.process.pid):
            panel = psutil.Process(self.panel.process.pid)
            found |= {each.pid: each for each in (panel, *_children(panel))}
        return list(found.values())

    def commands(self, *words: str) -> list[list[str]]:
        """Command lines that run on this machine and hold all these words."""
        lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        return [line for line in lines if all(any(word in argument for argument in line) for word in words)]

    def power_off(self) -> None:
        """Everything ends at once, as if the plug had been pulled; what lives in memory only is gone."""
        for process in (doomed := self.processes()):
            _signal(process, signal.SIGSTOP)  # none of them may see the others die and record it
        for process in doomed:
            _signal(process, signal.SIGKILL)
        for started in (self.dockerd, self.containerd, self.panel.process):
            if started is not None:
                started.wait(20)
        _, alive = psutil.wait_procs(doomed, timeout=20)
        assert alive == []
        self._forget_memory()

    def _forget_memory(self) -> None:
        for mount in sorted(_mounts(self.folder), reverse=True):
            if mount != str(self.disk):
                run("umount", "--lazy", mount, check=False)
        for volatile in ("exec", "state"):
            shutil.rmtree(self.folder / volatile, ignore_errors=True)
        (self.folder / "pid").unlink(missing_ok=True)
        for link in json.loads(run("ip", "-json", "address")):
            if any(self._is_ours(address) for address in link.get("addr_info", ())):
                run("ip", "link", "delete", link["ifname"], check=False)

    def _is_ours(self, address: dict[str, Any]) -> bool:
        local = ipaddress.ip_address(address["local"])
        return local == self.bridge_address.ip or local in self.pool

    def destroy(self) -> None:
        self.power_off()
        run("umount", "--lazy", str(self.disk), check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ── what must hold ──

    def ask(self, site: Site | None = None, path: str = "/") -> str:
        """A site's text by way of the proxy, which must answer while the panel is dead."""
        answer = self.panel.site((site or self.site).hostname, path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def answers(self, text: str, site: Site | None = None) -> bool:
        try:
            return text in self.ask(site)
        except (httpx.HTTPError, AssertionError):
            return False

    def check_whole(self, site: Site, deployment_id: str) -> None:
        """Exactly the container of this deployment, nothing half-done on the disk or in processes, an unbroken history."""
        containers = site.containers()
        told = (containers, site.deployment(deployment_id), site.log_of(deployment_id))
        assert [each["name"] for each in containers] == [f"orca-{deployment_id}-0"], told
        assert [each["state"] for each in containers] == ["running"]
        work = self.panel.data_dir / "work"
        assert [path.name for path in work.iterdir()] == []
        assert self.commands(str(self.panel.data_dir / "work")) == []
        assert site.get("/api/v1/events/verify")["is_intact"]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return children


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _mounts(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return [mount for line in lines if (mount := line.split()[1]).startswith(f"{folder}/")]


@contextmanager
def machine() -> Iterator[Machine]:
    with claimed_number("machine", 256) as number:
        made = Machine(number)
        try:
            made.build()
            yield made
        finally:
            made.destroy()
