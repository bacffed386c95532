"""A second system on this machine: a network namespace with a Docker of its own, and a connector that works inside."""

import asyncio
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import psutil
from pydantic import BaseModel
from tests.claimed_number import claimed_number

from orca.errors import ProviderUnavailable
from orca.providers.connectors.local import LocalConnector
from orca.sdk.connectors import Command, CommandResult, OpenSocket, OutputSink

_NEW_NETWORK = 0x40000000
_NO_PROGRAM = 127
_SECONDS = 120
"""How long one command, or the start or end of a Docker, may take while every core is taken."""


class NamespaceConfig(BaseModel):
    """The name of the namespace."""

    namespace: str


class NamespaceConnector(LocalConnector):
    """Runs programs and opens connections in a network namespace; the files are those of this machine."""

    def __init__(self, namespace: str) -> None:
        super().__init__()
        self._path = f"/run/netns/{namespace}"

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        result = await super().run(replace(command, argv=("nsenter", f"--net={self._path}", *command.argv)), on_output)
        if result.exit_code == _NO_PROGRAM and result.stderr.startswith(b"nsenter: failed to execute"):
            raise ProviderUnavailable(f"There is no program {command.argv[0]}.", hint="Install it.")
        return result

    async def open_connection(
        self, host: str, port: int, *, limit: int = 1 << 16
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        inside = await asyncio.to_thread(self._make_socket)
        try:
            await asyncio.get_running_loop().sock_connect(inside, (host, port))
        except BaseException:
            inside.close()
            raise
        return await asyncio.open_connection(sock=inside, limit=limit)

    async def list_addresses(self) -> list[str]:
        return list(await self._ask("[e.address.partition('%')[0] for v in psutil.net_if_addrs().values() for e in v"
                                    " if e.family in (2, 10)]"))  # fmt: skip

    async def list_sockets(self, pid: int | None = None) -> list[OpenSocket] | None:
        found = await self._ask(f"[dataclasses.asdict(each) for each in list_sockets({pid}) or ()]")
        return [OpenSocket(**each) for each in found]

    async def _ask(self, expression: str) -> Any:
        """The value of an expression, computed by a Python that runs in the namespace."""
        program = (
            "import dataclasses, json, psutil\nfrom orca.providers.connectors.local.sockets import list_sockets\n"
            f"print(json.dumps({expression}))"
        )
        return json.loads((await self.run(Command((sys.executable, "-c", program), deadline=30))).text)

    def _make_socket(self) -> socket.socket:
        """A socket belongs to the namespace of the thread that makes it; that thread ends afterwards."""
        made: list[socket.socket] = []

        def make() -> None:
            with Path(self._path).open("rb") as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), _NEW_NETWORK) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        made[0].setblocking(False)
        return made[0]


class NamespaceConnectorProvider:
    """Opens connectors to namespaces of this machine."""

    name: ClassVar[str] = "namespace"
    Config: ClassVar[type[BaseModel]] = NamespaceConfig

    @asynccontextmanager
    async def open(self, config: BaseModel) -> AsyncIterator[NamespaceConnector]:
        yield NamespaceConnector(NamespaceConfig.model_validate(config.model_dump()).namespace)


@dataclass(frozen=True, slots=True)
class SecondMachine:
    """A namespace that is joined to this machine by a pair of interfaces, and the Docker inside."""

    namespace: str
    address: str
    """As this machine reaches it."""
    host: str
    """The socket of its Docker."""

    def docker(self, *arguments: str) -> str:
        done = subprocess.run(
            ["docker", "--host", self.host, *arguments], check=True, capture_output=True, timeout=60, text=True
        )
        return done.stdout


def _run(*argv: str) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, timeout=_SECONDS, text=True)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"


@contextmanager
def second_machine(folder: Path) -> Iterator[SecondMachine]:
    """Never in the machine's own namespace, whose bridge and rules stay as they are."""
    with claimed_number("second-machine", 250) as third:
        yield from _make(folder, f"orca-second-{third}", f"orca-s{third}", f"10.231.{third}")


def _make(folder: Path, name: str, link: str, net: str) -> Iterator[SecondMachine]:
    if Path("/run/netns", name).exists():  # of a run that was killed; it has the same addresses
        _run("ip", "netns", "delete", name)
    if Path("/sys/class/net", link).exists():
        _run("ip", "link", "delete", link)
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "address", "add", f"{net}.1/24", "dev", link)
        _run("ip", "link", "set", link, "up")
        for command in (("address", "add", f"{net}.2/24", "dev", "eth0"), ("link", "set", "eth0", "up"),
                        ("link", "set", "lo", "up")):  # fmt: skip
            _run("ip", "-n", name, *command)
        with _docker(folder, name) as host:
            yield SecondMachine(name, f"{net}.2", host)
    finally:
        _run("ip", "netns", "delete", name)  # its end of the pair goes with it, and ours with that


@contextmanager
def _docker(folder: Path, namespace: str) -> Iterator[str]:
    host = f"unix://{folder}/d.sock"
    options = {
        "host": host, "data-root": f"{folder}/data", "exec-root": f"{folder}/exec", "pidfile": f"{folder}/pid",
        "bip": "172.30.99.1/24",
    }  # fmt: skip
    with (folder / "log").open("ab") as log:
        argv = ["nsenter", f"--net=/run/netns/{namespace}", "dockerd", *(f"--{k}={v}" for k, v in options.items())]
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        _wait_for_docker(process, host, folder / "log")
        yield host
    finally:
        process.terminate()
        try:
            process.wait(_SECONDS)
        finally:
            _end_rest(folder)


def _wait_for_docker(process: subprocess.Popen[bytes], host: str, log: Path) -> None:
    argv, end = ["docker", "--host", host, "version"], time.monotonic() + _SECONDS
    while subprocess.run(argv, capture_output=True, check=False, timeout=_SECONDS).returncode:
        said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        assert process.poll() is None, f"Docker ended with {process.returncode}:\n{said}"
        assert time.monotonic() < end, f"Docker does not answer:\n{said}"
        time.sleep(0.2)


def _end_rest(folder: Path) -> None:
    """Shims of containers that were left, and what is mounted. Some end by themselves meanwhile."""
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid() and any(str(folder) in part for part in process.info["cmdline"] or ()):
            with suppress(psutil.NoSuchProcess):
                children = process.children(recursive=True)
                process.kill()
                for child in children:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in sorted((each for each in mounts if each.startswith(str(folder))), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
