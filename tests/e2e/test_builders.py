"""`orc deploy` of every kind of repository: built for real on base images made here, live, and asked over its hostname."""

import base64
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from tests.conftest import Panel, docker_client, make_panel, remove_all_of
from tests.e2e.repositories import REPOSITORIES, Repository
from tests.providers.builders.bases import base_image, busybox_image
from tests.providers.builders.registry import PASSWORD, running_registry

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("builders")]

USE_SECRET = """\
RUN --mount=type=secret,id=INDEX_TOKEN test -s /run/secrets/INDEX_TOKEN && busybox md5sum /run/secrets/INDEX_TOKEN
COPY . /src
"""
SERVE = """\
RUN echo slow > /slow
COPY index.html /www/index.html
EXPOSE 8000
CMD ["/bin/busybox", "httpd", "-f", "-p", "8000", "-h", "/www"]
"""


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
    done = try_to_deploy(panel, folder, name)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def try_to_deploy(panel: Panel, folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orca.cli", "deploy", str(folder), "--project", "built", "--service", name, "--yes"],
        env={"ORC_DATA_DIR": str(panel.data_dir), "PATH": os.environ["PATH"], "HOME": str(folder.parent), "TERM": "dumb"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def service_of(panel: Panel, name: str) -> str:
    with panel.client() as http:
        projects = http.get("/api/v1/projects").json()["items"]
        project = next(each["id"] for each in projects if each["name"] == "built")
        services = http.get(f"/api/v1/projects/{project}/services").json()["items"]
        return str(next(each["id"] for each in services if each["name"] == name))


def home_page(panel: Panel, name: str) -> str:
    with panel.client() as http:
        routes = http.get(f"/api/v1/services/{service_of(panel, name)}/routes").json()
    return panel.site(routes["items"][0]["hostname"]).text


@pytest.mark.sampled
@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_repository_without_a_dockerfile_goes_live(name: str, shared: Panel, tmp_path: Path) -> None:
    repository: Repository = REPOSITORIES[name]
    options = {"build": {"options": {"base": base_image(repository.base)}}} if repository.base else {}
    write(tmp_path, repository.all_files(), {**options, "variables": dict(repository.variables)})
    said = deploy(shared, tmp_path, name)
    assert repository.summary in said
    assert repository.text in home_page(shared, name)


def test_a_dockerfile_goes_live_and_the_next_build_finds_its_cache(shared: Panel, tmp_path: Path) -> None:
    write(tmp_path, {"Dockerfile": f"FROM {busybox_image()}\n{SERVE}", "index.html": "first"}, {})
    first = deploy(shared, tmp_path, "dockerfile")
    assert "Dockerfile · 1 stage" in first
    assert "[2/3] cached" not in first
    assert home_page(shared, "dockerfile") == "first"
    (tmp_path / "index.html").write_text("second")
    second = deploy(shared, tmp_path, "dockerfile")
    assert home_page(shared, "dockerfile") == "second"
    assert re.search(r"\[2/3\] RUN echo slow.*\n.*\[2/3\] cached", second), second


def test_the_team_s_login_opens_a_private_base_image_and_no_secret_is_left_behind(
    shared: Panel, tmp_path: Path
) -> None:
    """DOC-11: canaries in a registry login and in a build secret, looked for everywhere afterwards."""
    canary = f"canary-{secrets.token_hex(12)}"
    with running_registry(tmp_path / "registry") as registry:
        folder, base = tmp_path / "tree", registry.take(busybox_image())
        write(folder, {"Dockerfile": f"FROM {base}\n{USE_SECRET}{SERVE}", "index.html": "private"}, {})
        refused = try_to_deploy(shared, folder, "private")
        assert refused.returncode != 0
        assert f"orc credentials add-registry {registry.address}" in refused.stdout + refused.stderr
        service = service_of(shared, "private")
        with shared.client() as http:
            secret = {"value": canary, "is_secret": True, "is_build_time": True}
            put = http.put(f"/api/v1/services/{service}/variables/INDEX_TOKEN", json=secret)
            assert put.status_code in {200, 201}, put.text
            login = {"name": "ours", "host": registry.address, "username": "orca", "password": f"{canary}-wrong"}
            credential = http.post("/api/v1/registry-credentials", json=login)
            assert credential.status_code == 201, credential.text
            wrong = try_to_deploy(shared, folder, "private")
            assert f"Logging in to {registry.address} as orca fails" in wrong.stdout + wrong.stderr
            url = f"/api/v1/registry-credentials/{credential.json()['id']}"
            assert http.patch(url, json={"password": PASSWORD}).status_code == 200
        right = deploy(shared, folder, "private")
        assert home_page(shared, "private") == "private"
    told = "".join(done.stdout + done.stderr for done in (refused, wrong)) + right + shared.log
    encoded = base64.b64encode(f"orca:{PASSWORD}".encode())
    for word in (canary.encode(), PASSWORD.encode(), encoded):
        assert word not in told.encode()
        assert not [path for path in shared.data_dir.rglob("*") if path.is_file() and word in path.read_bytes()]
        assert word not in everything_of(service)


def everything_of(service: str) -> bytes:
    """Every layer, configuration and history of the images of a service."""
    docker = [docker_client(), "image"]
    listed = [*docker, "ls", "--quiet", "--filter", f"label=orca.service={service}"]
    images = sorted(set(subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()))
    assert images
    asked = (["save", *images], ["inspect", *images], *(["history", "--no-trunc", image] for image in images))
    return b"".join(subprocess.run([*docker, *words], check=True, capture_output=True).stdout for words in asked)


def test_a_build_that_eats_its_memory_is_told_so(shared: Panel, tmp_path: Path) -> None:
    eat = "RUN python3 -c 'b\"x\" * (3 << 30)'\n"
    write(tmp_path, {"Dockerfile": f"FROM {base_image('python')}\n{eat}"}, {})
    done = try_to_deploy(shared, tmp_path, "hungry")
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "ran out of memory" in said
    assert "raise the memory limit of builds" in said
