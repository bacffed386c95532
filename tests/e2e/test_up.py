"""scripts/up as a newcomer runs it, from a copy of the checkout: up, killed, up again, down, up once more."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from tests.conftest import NO_TLS, ROOT, Panel, free_port, remove_all_of, until

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]


class Newcomer:
    """A new user with a clone, a home folder of their own, and free ports."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "orca"
        self.data = folder / "data"
        self.https_port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ORC_")}
        self.env = {**kept, "HOME": str(folder), "ORC_DATA_DIR": str(self.data)}
        self.settings = {
            "ORC_PORT": str(free_port()), "ORC_PROXY_HTTP_PORT": str(free_port()),
            "ORC_PROXY_HTTPS_PORT": str(self.https_port),
        }  # fmt: skip

    def copy_checkout(self) -> None:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                target = self.clone / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)

    def run(self, *options: str, **given: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.clone / "scripts" / "up", *options], env={**self.env, **given}, cwd=self.clone,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
        )  # fmt: skip

    def up(self, *options: str, **given: str) -> str:
        done = self.run(*options, **given)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def orc(self, *arguments: str) -> str:
        argv = [self.clone / ".venv" / "bin" / "orc", *arguments]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout + done.stderr

    def kept(self) -> dict[str, str]:
        path = self.data / "up-settings.json"
        assert path.stat().st_mode & 0o777 == 0o600
        settings: dict[str, str] = json.loads(path.read_text())
        return settings

    def answers(self, port: str) -> bool:
        try:
            return httpx.get(f"http://localhost:{port}/api/health", verify=NO_TLS).json()["status"] == "ok"
        except httpx.HTTPError:
            return False

    def site(self) -> int:
        """The status of the example, over HTTPS with the certificate of Orca's own authority."""
        authority = next(self.data.rglob("root.crt"))
        name = "hello-examples.localhost"
        argv = ["curl", "--silent", "--cacert", authority, "--resolve", f"{name}:{self.https_port}:127.0.0.1",
                "--output", "/dev/null", "--write-out", "%{http_code}", f"https://{name}:{self.https_port}/"]  # fmt: skip
        return int(subprocess.run(argv, capture_output=True, text=True, timeout=20).stdout)

    def panels(self) -> list[psutil.Process]:
        found = [
            process
            for process in psutil.process_iter(["cmdline"])
            if "orca.server.serve" in (process.info["cmdline"] or [])
        ]
        return [process for process in found if str(self.clone) in " ".join(process.info["cmdline"])]


def lives(process: psutil.Process) -> bool:
    """Whether it runs: a zombie, which its parent has not waited for yet, is still listed."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    one = Newcomer(tmp_path)
    one.copy_checkout()
    yield one
    for panel in one.panels():
        panel.kill()
    if (one.data / "secret.key").exists():
        remove_all_of(Panel(one.data, 0, 0, 0))


def test_up_and_down_and_up_again(newcomer: Newcomer) -> None:
    said = newcomer.up("--yes", **newcomer.settings)
    assert "\x1b" not in said
    link = re.search(r"http://localhost:(\d+)/claim#token=\S+", said)
    assert link is not None
    assert f"https://hello-examples.localhost:{newcomer.https_port}/" in said
    assert newcomer.site() == 200
    assert httpx.get(f"http://localhost:{link[1]}/api/health").json()["status"] == "ok"

    (panel,) = newcomer.panels()
    panel.send_signal(signal.SIGKILL)
    panel.wait(10)
    assert newcomer.site() == 200, "sites outlive the panel"
    said = newcomer.up("--yes")
    assert "using" not in said, "the own proxy was taken for a stranger"
    assert "is there" in said
    assert newcomer.site() == 200

    settings_are_kept_changed_and_refused(newcomer)

    two_at_once_wait_for_each_other(newcomer)
    for log in ("serve.log", "up.lock"):
        assert (newcomer.data / log).stat().st_mode & 0o777 == 0o600, log

    newcomer.orc("deploy", str(newcomer.clone / "examples" / "hello"), "--project", "own", "--service", "site", "--yes")
    newcomer.orc("services", "create", "idle", "--project", "own")
    said = newcomer.up("--down")
    assert "  1 of your services goes on in Docker; " in said
    assert "serve stopped" in said
    assert newcomer.panels() == []
    assert not (newcomer.data / "orc.sock").exists()
    assert "started again" in newcomer.up("--yes")
    until(lambda: newcomer.site() == 200, what="the example answers again")

    newcomer.orc("services", "delete", "hello", "--project", "examples", "--confirm", "hello")
    assert "was removed, and stays so" in newcomer.up("--yes")
    newcomer.up("--down")


def two_at_once_wait_for_each_other(newcomer: Newcomer) -> None:
    """Both started the panel that was killed; now the second finds the one of the first."""
    for panel in newcomer.panels():
        panel.send_signal(signal.SIGKILL)
        panel.wait(10)
    with ThreadPoolExecutor(2) as pool:
        said = [each.result() for each in [pool.submit(newcomer.up, "--yes") for _ in range(2)]]
    assert len(newcomer.panels()) == 1
    assert sum("another scripts/up is at work" in each for each in said) == 1
    assert sum("runs already" in each for each in said) == 1
    assert newcomer.site() == 200


def settings_are_kept_changed_and_refused(newcomer: Newcomer) -> None:
    """On the panel that runs: what was given once stays, what is new restarts it, what is wrong changes nothing."""
    assert newcomer.kept() == newcomer.settings
    secret, moved = "s" * 40, str(free_port())
    before = newcomer.panels()
    said = newcomer.up("--yes", ORC_AUTH_TOKEN=secret, ORC_PORT=moved)
    assert "restarted for ORC_AUTH_TOKEN, ORC_PORT" in said
    assert newcomer.answers(moved)
    assert not newcomer.answers(newcomer.settings["ORC_PORT"])
    assert not any(lives(process) for process in before)
    assert newcomer.site() == 200
    assert newcomer.kept() == {**newcomer.settings, "ORC_AUTH_TOKEN": secret, "ORC_PORT": moved}
    assert secret not in said + (newcomer.data / "serve.log").read_text() + (newcomer.data / "up.json").read_text()

    running = newcomer.panels()
    assert "runs already" in newcomer.up("--yes")
    assert newcomer.panels() == running
    for given, told in (
        ({"ORC_AUTH_TOKEN": "short"}, "ORC_AUTH_TOKEN is too short"),
        ({"ORC_BUILD_MINUTES": "many"}, "ORC_BUILD_MINUTES: must be a whole number"),
        ({"ORC_PROXY_HTTP_PORT": moved}, f"port {moved} is taken by "),
    ):
        refused = newcomer.run("--yes", **given)
        assert refused.returncode == 1
        assert told in refused.stderr
        assert newcomer.panels() == running
    refused = newcomer.run("--yes", ORC_PORT=str(newcomer.https_port))
    assert "It runs as before again; not kept: ORC_PORT." in refused.stderr
    assert newcomer.answers(moved)
    assert newcomer.kept()["ORC_PORT"] == moved

    elsewhere = str(free_port())
    assert "restarted for ORC_AUTH_TOKEN, ORC_PROXY_HTTP_PORT" in newcomer.up(
        "--yes", ORC_AUTH_TOKEN="", ORC_PROXY_HTTP_PORT=elsewhere
    )
    assert newcomer.kept() == {**newcomer.settings, "ORC_PORT": moved, "ORC_PROXY_HTTP_PORT": elsewhere}
    assert newcomer.site() == 200
    name = {"Host": "hello-examples.localhost"}
    assert httpx.get(f"http://127.0.0.1:{elsewhere}/", headers=name).status_code == 200
