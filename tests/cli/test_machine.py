"""`orc serve` and `orc doctor` become the programs they stand for."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.cli.conftest import Orc
from tests.conftest import NO_TLS, free_port, stop_proxy, until


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2, verify=NO_TLS).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_serve_takes_its_options_and_its_place(orc: Orc, tmp_path: Path) -> None:
    """The same process goes on as the server, so that signals reach it."""
    port, data = free_port(), tmp_path / "data"
    env = {"ORC_WORKER": "false", "ORC_PROXY_MODE": "process", "ORC_PROXY_HTTP_PORT": str(free_port())}
    orc.env |= {**env, "ORC_PROXY_HTTPS_PORT": str(free_port())}
    server = orc.start("serve", "--port", str(port), "--data-dir", str(data))
    try:
        until(lambda: answers(port) or server.poll() is not None, seconds=120, what="the panel answers")
        assert server.poll() is None, server.communicate()
        cmdline = Path(f"/proc/{server.pid}/cmdline").read_text().split("\0")
        assert cmdline[1:4] == ["-P", "-m", "orca.server.serve"]
        assert (data / "orc.sock").exists()
        assert orc.ok("whoami", "--json", ORC_DATA_DIR=str(data)).json["via"] == "socket"
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
        stop_proxy(data / "proxy")
    assert server.returncode in {0, -signal.SIGTERM}, "it ended because it was told to"
    assert orc("whoami", ORC_DATA_DIR=str(data)).code == 6


@pytest.mark.slow
def test_serve_refuses_bad_settings_in_words(orc: Orc, tmp_path: Path) -> None:
    done = orc.process("serve", "--port", "99999", "--data-dir", str(tmp_path / "data"))
    assert done.code == 1
    assert "port" in done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_worker_needs_a_shared_database(orc: Orc, tmp_path: Path) -> None:
    done = orc.process("worker", "--data-dir", str(tmp_path / "data"))
    assert done.code == 1
    assert "PostgreSQL" in done.err


def test_version(orc: Orc) -> None:
    from orca import __version__

    assert orc.process("--version").out == f"orc {__version__}\n"
    assert orc.ok("version").out.startswith(f"orc {__version__} ")
    assert orc.ok("version", "--json").json["version"] == __version__


@pytest.mark.slow
def test_doctor_in_a_folder_that_would_lend_its_modules(orc: Orc, tmp_path: Path) -> None:
    """A project may well have a `json.py`, and a hostile one an `orca.py`."""
    marker = tmp_path / "was-run"
    for name in ("orca", "json", "yaml", "argparse"):
        (orc.folder / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')\nraise SystemExit(99)\n")
    script = [sys.executable, "-P", "-c", "from orca.cli.main import run; run()"]
    env = {**orc.env, "ORC_DATA_DIR": str(tmp_path / "data"), "ORC_PROXY_MODE": "process"}
    done = subprocess.run(
        [*script, "doctor", "--json"], cwd=orc.folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    found = json.loads(done.stdout)
    assert {each["name"] for each in found} >= {"docker", "disk"}
    assert all(each["seconds"] >= 0 for each in found)
    assert next(each["seconds"] for each in found if each["name"] == "database") > 0
    assert not marker.exists()


def is_taken(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ports_finding(orc: Orc, tmp_path: Path, port: int) -> dict[str, str]:
    env = {"ORC_DATA_DIR": str(tmp_path / "data"), "ORC_PROXY_MODE": "process", "ORC_PROXY_HTTP_PORT": str(port)}
    found = orc.process("doctor", "--json", **env, ORC_PROXY_HTTPS_PORT=str(free_port())).json
    return next(each for each in found if each["name"] == "ports")


@pytest.mark.slow
def test_doctor_names_who_has_the_port_and_offers_another(orc: Orc, tmp_path: Path) -> None:
    """A Caddy that Orca did not start is not taken for Orca's."""
    caddy = Path(sys.executable).with_name("caddy")
    command = [caddy, "respond", "--listen", f"127.0.0.1:{(port := free_port())}", "theirs"]
    server = subprocess.Popen(command, env={"HOME": str(tmp_path)}, stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_taken(port), seconds=20, what="Caddy listens")
        finding = ports_finding(orc, tmp_path, port)
        assert finding["state"] == "problem"
        assert f"{port} by caddy (process {server.pid})" in finding["message"]
        assert re.search(r"ORC_PROXY_HTTP_PORT=\d+", finding["remedy"])
    finally:
        server.kill()
        server.wait(10)
    assert ports_finding(orc, tmp_path, port)["state"] == "ok"
