"""A program that outlives the one who started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import until

from orca.providers.proxies.caddy import launch


def run(tmp_path: Path, *argv: str) -> subprocess.CompletedProcess[bytes]:
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(tmp_path / "pid"), str(tmp_path / "log")]
    return subprocess.run([*launcher, *argv], capture_output=True, check=False, timeout=20)


def test_it_belongs_to_nobody(tmp_path: Path):
    """Own session, adopted, deaf to our terminal; and the pid file says exactly which process it is."""
    assert run(tmp_path, "/bin/sh", "-c", "echo hello; exec sleep 60").returncode == 0
    written = (tmp_path / "pid").read_text()
    pid = int(written.split()[0])
    try:
        assert launch.identity(pid) == written
        assert os.getsid(pid) != os.getsid(0)
        assert os.getpgid(pid) != os.getpgid(0)
        assert int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) != os.getpid()
        until(lambda: (tmp_path / "log").read_text() == "hello\n", seconds=5)
        assert (tmp_path / "pid").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    finally:
        os.kill(pid, signal.SIGKILL)


def test_what_cannot_be_started_is_said(tmp_path: Path):
    result = run(tmp_path, "/no/such/program")
    assert result.returncode == 1
    assert b"No such file" in result.stderr


def test_two_processes_are_never_the_same():
    children = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    try:
        assert launch.identity(children[0].pid) != launch.identity(children[1].pid)
    finally:
        for child in children:
            child.kill()
            child.wait()
