"""`start_module`: a program of Orca as a fork of a process that has imported everything.

Importing takes two seconds of a core, and the tests start a panel hundreds of times. What runs is the real program: only the
imports are shared (`tests/fork_server.py`).
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_SERVER = Path(__file__).with_name("fork_server.py")
_STARTED_WITH = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC_", "GLIBC_")
"""Variables that an interpreter reads when it starts, by how their names begin."""


class ForkedProcess:
    """As `subprocess.Popen`, for a process whose parent is the fork server."""

    def __init__(self, pid: int, report: int, name: str) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._report = report
        self._name = name

    def poll(self) -> int | None:
        return self._end_within(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._end_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self._name, timeout or 0)
        return code

    def _end_within(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], seconds)[0]:
            status = _read_number(self._report)
            os.close(self._report)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[bytes] | ForkedProcess


class _Server:
    """One for each process that runs tests, from the first start on; it ends with that process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None

    def start(
        self, module: str, arguments: Sequence[str], env: Mapping[str, str], cwd: str, outputs: Sequence[int]
    ) -> ForkedProcess:
        report, far = os.pipe()
        job = json.dumps({"module": module, "arguments": list(arguments), "env": dict(env), "cwd": cwd}).encode()
        with self._lock, Path(os.devnull).open("rb") as nothing:
            socket.send_fds(self._connect(), [job], [nothing.fileno(), *outputs, far])
        os.close(far)
        return ForkedProcess(_read_number(report), report, module)

    def _connect(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, _SERVER, str(theirs.fileno())], env=_without_orca(), pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                )  # fmt: skip
            atexit.register(self._end, self._control, process)
        return self._control

    def _end(self, control: socket.socket, process: "subprocess.Popen[bytes]") -> None:
        control.close()
        process.wait(10)


_server = _Server()


def start_module(
    module: str, *arguments: str, env: Mapping[str, str], output: IO[bytes] | None = None, cwd: str | Path = "/",
    python: str = sys.executable, real: bool = False,
) -> Process:  # fmt: skip
    """Start `python -m module`, both outputs go to `output`, or where those of this process go. `real`, or where the
    interpreter or its own settings differ: by exec."""
    if real or python != sys.executable or _start_of(env) != _start_of(os.environ):
        return subprocess.Popen([python, "-m", module, *arguments], env=env, stdout=output, stderr=output, cwd=cwd)
    outputs = [1, 2] if output is None else [output.fileno()] * 2
    return _server.start(module, arguments, env, str(cwd), outputs)


def _start_of(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_STARTED_WITH)}


def _without_orca() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ORC_") and name != "DATABASE_URL"}


def _read_number(file: int) -> int:
    """Read one line; it is short enough to come in one piece."""
    line = b""
    while not line.endswith(b"\n"):
        if not (more := os.read(file, 1)):
            raise RuntimeError("the fork server has ended; its reason is on the error output")
        line += more
    return int(line)
