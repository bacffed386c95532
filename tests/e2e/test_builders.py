"""`orc deploy` of every kind of repository: built for real on base images made here, live, and asked over its hostname."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from tests.conftest import Panel, make_panel, remove_all_of, until
from tests.e2e.repositories import REPOSITORIES, Repository
from tests.providers.builders.bases import base_image

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("builders")]


@pytest.fixture(scope="module")
def shared() -> Iterator[Panel]:
    with tempfile.TemporaryDirectory(prefix="orca-builders-") as folder:
        panel = make_panel(Path(folder) / "panel")
        panel.start()
        try:
            panel.wait_ready()
            yield panel
        finally:
            panel.stop()
            remove_all_of(panel)


def write(folder: Path, files: Mapping[str, str], orca_file: Mapping[str, object]) -> None:
    for name, text in {**files, "orca.yaml": yaml.safe_dump(dict(orca_file))}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def deploy(panel: Panel, folder: Path, name: str) -> str:
    """What the command said; it must have gone well."""
    done = subprocess.run(
        [sys.executable, "-m", "orca.cli", "deploy", str(folder), "--project", "built", "--service", name],
        env={"ORC_DATA_DIR": str(panel.data_dir), "PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def home_page(panel: Panel, name: str) -> str:
    with panel.client() as http:
        projects = http.get("/api/v1/projects").json()["items"]
        project = next(each["id"] for each in projects if each["name"] == "built")
        services = http.get(f"/api/v1/projects/{project}/services").json()["items"]
        service = next(each["id"] for each in services if each["name"] == name)
        hostname = http.get(f"/api/v1/services/{service}/routes").json()["items"][0]["hostname"]
    return panel.site(hostname).text


@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_repository_without_a_dockerfile_goes_live(name: str, shared: Panel, tmp_path: Path) -> None:
    repository: Repository = REPOSITORIES[name]
    options = {"build": {"options": {"base": base_image(repository.base)}}} if repository.base else {}
    write(tmp_path, repository.all_files(), {**options, "variables": dict(repository.variables)})
    said = deploy(shared, tmp_path, name)
    assert repository.summary in said
    assert repository.text in home_page(shared, name)
