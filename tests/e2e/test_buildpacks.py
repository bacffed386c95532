"""`build.builder: buildpacks` from `orc deploy` to a visitor, with a builder image that keeps the lifecycle's contract."""

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Panel, docker_client, make_panel, remove_all_of
from tests.e2e.test_builders import deploy, try_to_deploy, write
from tests.providers.builders.bases import busybox_image
from tests.providers.builders.buildpacks.standin import make_images
from tests.providers.builders.conftest import Bench

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("builders")]

FILES = {"web.sh": 'hello panel > runtime.txt; exec busybox httpd -f -p "$PORT" -h /workspace\n'}


@pytest.fixture
def chosen(tmp_path: Path) -> Iterator[Panel]:
    """A panel with builder and run image in its settings."""
    bench, tags = Bench(tmp_path), list[str]()

    def make(tree: Path, tag: str) -> None:  # without the label of the tests, which no image may have
        tags.append(tag)
        subprocess.run([docker_client(), "build", "--quiet", "--tag", tag, str(tree)], check=True, capture_output=True)

    shell = bench.tree({"Dockerfile": f"FROM {busybox_image()}\nRUN busybox --install -s /bin\nENV PATH=/bin\n"})
    make(shell, f"orca-test-{bench.id}:shell")
    builder, run_image = make_images(bench, make, tags[0])
    panel = make_panel(tmp_path / "panel", ORC_BUILDPACKS_BUILDER=builder, ORC_BUILDPACKS_RUN_IMAGE=run_image)
    panel.start()
    try:
        panel.wait_ready(120)
        yield panel
    finally:
        panel.stop()
        remove_all_of(panel)
        subprocess.run([docker_client(), "image", "rm", "--force", *tags], check=True, capture_output=True)


def test_an_application_built_with_buildpacks_answers_visitors(chosen: Panel, tmp_path: Path) -> None:
    hostname = f"packed-{secrets.token_hex(4)}.example.org"
    plain = {"name": "packed", "build": {"builder": "buildpacks"}, "domains": [hostname]}
    folder = tmp_path / "source"
    write(folder, {**FILES, "index.html": "packed answers\n"}, plain)
    assert "Cloud Native Buildpacks" in deploy(chosen, folder, "packed")
    assert chosen.site(hostname, "/index.html", follow_redirects=False).text == "packed answers\n"
    (folder / "web.sh").unlink()
    refused = try_to_deploy(chosen, folder, "packed")
    assert refused.returncode != 0
    assert "recognises the source" in refused.stdout + refused.stderr
    assert chosen.site(hostname, "/index.html", follow_redirects=False).text == "packed answers\n"
