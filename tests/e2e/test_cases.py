"""Small repositories that once failed, as they lie beside the project: what they are taken for, and the sites they make."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import Panel
from tests.e2e.test_builders import deploy, service_of, shared
from tests.providers.builders.bases import base_image
from tests.providers.builders.corpus import FOLDER
from tests.providers.builders.test_corpus import detect

from orca.sdk.builders import Detection

__all__ = ["shared"]

CASES = FOLDER.parent / "cases"


@dataclass(frozen=True)
class Case:
    """`path` of the site contains `text`; `asset` is a file that its home page names by this expression."""

    kind: str
    port: int | None
    summary: str
    base: str = ""
    text: str = ""
    path: str = "/"
    asset: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


EXPECTED = {
    "build-variable-ignored": Case(
        "static", 8080, "Vite, static site, npm", "node", "https://api.example.org", asset=r"/assets/[\w-]+\.js",
        settings={"build": {"arguments": {"VITE_API_URL": "https://api.example.org"}}},
    ),
    "expose-variable": Case("web", 3000, "Dockerfile · 1 stage"),
    "health-host-header": Case(
        "web", 8000, "Flask, pip", "python", "hello case-health-host-header-built.localhost",
        settings={"variables": {"ALLOWED_HOSTS": "case-health-host-header-built.localhost"}},
    ),
    "init-says-nothing": Case("web", 8000, "Streamlit, pip", "python", "<title>Streamlit</title>"),
    "next-commented-export": Case("web", 3000, "Next.js, npm"),
    "pnpm-old-lock": Case("static", 8080, "Vite, static site, pnpm", "node", "<h1>p</h1>"),
    "secret-loses-newline": Case("web", None, "Dockerfile · 1 stage"),
    "template-volume-readonly": Case("web", 8000, "Flask, pip", "python", "rows 1", "/write"),
    "vite-with-own-server": Case("web", 3000, "Node server, npm", "node", "page from server.js"),
}  # fmt: skip
"""Those with a base image are deployed as well; a server of Next.js is among the applications of Node.js."""

if CASES.is_dir():

    @pytest.mark.parametrize("name", EXPECTED)
    async def test_a_case_is_taken_for_what_it_is(name: str) -> None:
        case, found = EXPECTED[name], await detect(CASES / name)
        assert isinstance(found, Detection)
        assert (found.service_kind, found.port) == (case.kind, case.port)
        assert case.summary in found.summary

    def test_every_case_is_here() -> None:
        assert {path.name for path in CASES.iterdir() if path.is_dir()} == EXPECTED.keys()

    @pytest.mark.docker
    @pytest.mark.slow
    @pytest.mark.timeout(900)
    @pytest.mark.xdist_group("builders")
    @pytest.mark.sampled
    @pytest.mark.parametrize("name", [name for name, case in EXPECTED.items() if case.base])
    def test_a_case_goes_live(name: str, shared: Panel, tmp_path: Path) -> None:
        case, folder = EXPECTED[name], tmp_path / "tree"
        shutil.copytree(CASES / name, folder)
        written = folder / "orca.yaml"
        settings = (yaml.safe_load(written.read_text()) if written.exists() else {}) | case.settings
        settings["build"] = settings.get("build", {}) | {"options": {"base": base_image(case.base)}}
        written.write_text(yaml.safe_dump(settings))
        deploy(shared, folder, f"case-{name}")
        with shared.client() as http:
            routes = http.get(f"/api/v1/services/{service_of(shared, f'case-{name}')}/routes").json()
        hostname, path = routes["items"][0]["hostname"], case.path
        if case.asset:
            path = next(iter(re.findall(case.asset, shared.site(hostname).text)))
        assert case.text in shared.site(hostname, path).text
