"""A database that does not know a site never deletes it: emptied, older, or with another key, on both databases."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.conftest import Panel, docker_client, make_panel, remove_all_of, until
from tests.sites import Site, page

from orca.kit.crypto import new_key

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(420)]
DUTIES_SECONDS = 8
"""Every periodic job runs right after the start; this is long enough to have seen what it would have done."""


class Exchange:
    """A panel with a live site, whose database is taken away and put back between its starts."""

    def __init__(self, panel: Panel, url: str | None) -> None:
        self.panel = panel
        self.url = url
        self.site = Site(panel, "kept").create()
        assert self.site.hostname

    def start(self) -> None:
        self.panel.start()
        self.panel.wait_ready()

    def refuse(self, reason: str) -> None:
        """Serve and worker both end at once, and say why."""
        for module in ("orca.server.serve", *(["orca.server.worker"] if self.url else [])):
            argv = [sys.executable, "-m", module]
            ended = subprocess.run(argv, env=self.panel.env, capture_output=True, text=True, timeout=60, check=False)
            assert ended.returncode != 0
            assert reason in ended.stderr

    def run(self, *argv: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", *argv], env=self.panel.env, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def containers(self) -> list[str]:
        """Asked of Docker, since the panel may know nothing of them."""
        argv = [docker_client(), "ps", "--filter", f"label=orca.service={self.site.id}", "--format", "{{.Names}}"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()

    def serves(self, text: str) -> bool:
        answer = self.panel.site(self.site.hostname)
        return answer.status_code == 200 and text in answer.text

    def watch(self, text: str) -> None:
        """The site answers at every moment, whatever the jobs do."""
        end = time.monotonic() + DUTIES_SECONDS
        while time.monotonic() < end:
            assert self.serves(text)
            time.sleep(0.2)

    @property
    def files(self) -> list[Path]:
        return sorted(self.panel.data_dir.glob("orc.db*"))

    def copy(self, name: str) -> None:
        if self.url is None:
            folder = self.panel.data_dir.parent / name
            folder.mkdir()
            for path in self.files:
                shutil.copy(path, folder)
            return
        self._sql(f"CREATE DATABASE {self._name}_{name} TEMPLATE {self._name}")

    def put_back(self, name: str) -> None:
        self.empty()
        if self.url is None:
            for path in (self.panel.data_dir.parent / name).iterdir():
                shutil.copy(path, self.panel.data_dir)
            return
        self._sql(f"DROP DATABASE {self._name}", f"CREATE DATABASE {self._name} TEMPLATE {self._name}_{name}")

    def empty(self) -> None:
        if self.url is None:
            for path in self.files:
                path.unlink()
            return
        self._sql(f"DROP DATABASE {self._name} WITH (FORCE)", f"CREATE DATABASE {self._name}")

    @property
    def _name(self) -> str:
        return str(self.url).rsplit("/", 1)[1]

    def _sql(self, *statements: str) -> None:
        with psycopg.connect(f"{str(self.url).rsplit('/', 1)[0]}/postgres", autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture
def exchange(tmp_path: Path, database_url: str | None) -> Iterator[Exchange]:
    panel = make_panel(tmp_path / "panel", **({"DATABASE_URL": database_url} if database_url else {}))
    panel.start()
    try:
        panel.wait_ready()
        yield Exchange(panel, database_url)
    finally:
        panel.stop()
        for marker in panel.data_dir.glob("secret.key.right"):
            marker.replace(panel.data_dir / "secret.key")
        remove_all_of(panel)


def test_sites_outlive_a_database_that_is_emptied_older_or_has_another_key(exchange: Exchange) -> None:
    panel, site = exchange.panel, exchange.site
    site.go_live(page("version 1"))
    panel.stop()
    exchange.copy("older")
    panel.start()
    panel.wait_ready()
    site.go_live(page("version 2"))
    containers = exchange.containers()
    panel.stop()
    exchange.copy("newest")

    exchange.empty()
    exchange.refuse("is empty or missing")
    exchange.refuse("is empty or missing")
    assert exchange.serves("version 2")

    key = panel.data_dir / "secret.key"
    right = key.rename(panel.data_dir / "secret.key.right")
    exchange.put_back("newest")
    exchange.refuse("secret.key is missing")
    key.write_bytes(new_key())
    exchange.refuse("is not the key")
    right.replace(key)
    assert exchange.serves("version 2")

    exchange.put_back("older")
    (panel.data_dir / "instance.json").unlink()  # restored together with the database, or lost with the disk
    exchange.start()
    exchange.watch("version 2")
    assert exchange.containers() == containers
    with panel.client() as client:
        [orphan] = [each for each in client.get("/api/v1/orphans").json()["items"] if each["kind"] == "deployment"]
        answer = client.post("/api/v1/orphans/adopt", json={"kind": "deployment", "id": orphan["id"]})
        assert answer.status_code == 200, answer.text
        assert client.get("/api/v1/orphans").json()["items"] == []
    assert exchange.serves("version 2")
    assert exchange.containers() == containers
    site.go_live(page("version 3"))
    until(lambda: exchange.serves("version 3"), what="the next version is served")


def test_new_instance_and_adopt_leave_everything_of_the_first_one_alone(exchange: Exchange) -> None:
    panel, site = exchange.panel, exchange.site
    site.go_live(page("version 1"))
    containers = exchange.containers()
    panel.stop()
    exchange.empty()
    panel.arguments = ("--new-instance",)
    exchange.start()
    exchange.watch("version 1")
    panel.stop()
    panel.arguments = ()
    for path in panel.data_dir.glob("instance*.json"):
        path.unlink()
    exchange.empty()
    exchange.refuse("is empty or missing")
    exchange.run("orca.server.adopt")
    exchange.start()
    exchange.watch("version 1")
    with panel.client() as client:
        kinds = sorted(each["kind"] for each in client.get("/api/v1/orphans").json()["items"])
    assert kinds == ["deployment", "route"]
    assert exchange.containers() == containers
