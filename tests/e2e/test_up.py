"""scripts/up as a newcomer runs it, from a copy of the checkout: up, killed, up again, down, up once more."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.conftest import ROOT, Panel, free_port, remove_all_of, until

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]


class Newcomer:
    """Somebody with a clone, a home of their own, and ports that nobody else uses."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "orca"
        self.data = folder / "data"
        self.https_port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ORC_")}
        self.env = {
            **kept, "HOME": str(folder), "ORC_DATA_DIR": str(self.data), "ORC_PORT": str(free_port()),
            "ORC_PROXY_HTTP_PORT": str(free_port()), "ORC_PROXY_HTTPS_PORT": str(self.https_port),
        }  # fmt: skip

    def copy_checkout(self) -> None:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                target = self.clone / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)

    def up(self, *options: str) -> str:
        done = subprocess.run(
            [self.clone / "scripts" / "up", *options], env=self.env, cwd=self.clone, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def orc(self, *arguments: str) -> str:
        argv = [self.clone / ".venv" / "bin" / "orc", *arguments]
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, check=True, timeout=60).stdout

    def site(self) -> int:
        """The status of the example, over HTTPS with the certificate of Orca's own authority."""
        authority = next(self.data.rglob("root.crt"))
        name = "hello-examples.localhost"
        argv = ["curl", "--silent", "--cacert", authority, "--resolve", f"{name}:{self.https_port}:127.0.0.1",
                "--output", "/dev/null", "--write-out", "%{http_code}", f"https://{name}:{self.https_port}/"]  # fmt: skip
        return int(subprocess.run(argv, capture_output=True, text=True, timeout=20).stdout)

    def panels(self) -> list[psutil.Process]:
        found = [
            process for process in psutil.process_iter(["cmdline"]) if "orca.serve" in (process.info["cmdline"] or [])
        ]
        return [process for process in found if str(self.clone) in " ".join(process.info["cmdline"])]


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
    said = newcomer.up("--yes")
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

    said = newcomer.up("--down")
    assert "serve stopped" in said
    assert newcomer.panels() == []
    assert not (newcomer.data / "orc.sock").exists()
    assert "started again" in newcomer.up("--yes")
    until(lambda: newcomer.site() == 200, what="the example answers again")

    newcomer.orc("services", "delete", "hello", "--project", "examples", "--confirm", "hello")
    assert "was removed, and stays so" in newcomer.up("--yes")
    newcomer.up("--down")
