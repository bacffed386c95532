"""Applications of Node.js, Bun and Deno: built by what was detected, live, and asked over their hostnames."""

from pathlib import Path

import pytest
from tests.conftest import Panel
from tests.e2e.node_apps import NODE_APPS
from tests.e2e.test_builders import deploy, home_page, shared, write
from tests.providers.builders.bases import base_image

__all__ = ["shared"]

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("node-apps")]


@pytest.mark.sampled
@pytest.mark.parametrize("name", NODE_APPS)
def test_an_application_goes_live_as_it_was_detected(name: str, shared: Panel, tmp_path: Path) -> None:
    app = NODE_APPS[name]
    build = {"options": {"base": base_image(app.base)}, "arguments": dict(app.variables)}
    write(tmp_path, app.all_files(), {"build": build})
    said = deploy(shared, tmp_path, name)
    assert app.summary in said
    assert app.text in home_page(shared, name)
