"""Small applications of each language are built for real, and answer as the user of their container."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.language_apps import LANGUAGE_APPS, OPTIONS
from tests.providers.builders.bases import base_image
from tests.providers.builders.conftest import bench, docker
from tests.providers.builders.template.test_template import fetch

from orca.providers.builders.template import TemplateBuilder
from orca.sdk.builders import Detection

__all__ = ["bench"]
pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("builders")]
_SECONDS = 90


@pytest.fixture
def run(bench: Any) -> Iterator[Any]:
    """Start an image as it stands, and give the text of its home page."""
    started: list[str] = []

    def run(image: str, port: int, variables: dict[str, str]) -> str:
        given = [f"--env={name}={value}" for name, value in variables.items()]
        container = docker("run", "--detach", "--label", f"orca.test={bench.id}", "--cap-drop=ALL", *given, image)
        started.append(container)
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            try:
                return fetch(f"http://{address}:{port}/")[2].decode()
            except OSError:
                time.sleep(0.2)
        raise AssertionError(docker("logs", container))

    yield run
    for container in started:
        docker("rm", "--force", "--volumes", container)


@pytest.mark.sampled
@pytest.mark.parametrize("name", LANGUAGE_APPS)
async def test_an_application_is_built_and_answers(name: str, bench: Any, run: Any) -> None:
    app, builder = LANGUAGE_APPS[name], TemplateBuilder(bench.client)
    options = {**OPTIONS.get(name, {}), **({"base": base_image(app.base)} if app.base else {})}
    tree = bench.tree(app.all_files())
    found = await builder.detect(tree, options)
    assert isinstance(found, Detection)
    assert app.summary in found.summary
    image = await builder.build(bench.request(tree, options=options), bench.log)
    assert bench.inspect(image.id)["Config"]["User"] not in {"", "root", "0"}
    assert app.text in run(image.id, found.port, dict(app.variables))
    for command in found.processes.values() if name == "python-alone" else ():
        if "worked" in command:
            assert docker("run", "--rm", image.id, "/bin/sh", "-c", command) == "worked"
