"""Public generators make working clients from the OpenAPI document, and the linters of the field find nothing in it."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hatch_build import find_node
from tests.conftest import API_TOKEN, OWNER, Panel, make_panel, remove_all_of

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("clients")]

HERE = Path(__file__).parents[1] / "clients"
EXPECTED = {
    "state": "empty", "code": "conflict", "detail": "there is no earlier release to go back to", "removed": 204,
}  # fmt: skip


@dataclass
class Workshop:
    """A folder with the generators, the document, and the panel that it describes."""

    folder: Path
    panel: Panel

    @property
    def document(self) -> str:
        return str(self.folder / "openapi.json")

    def run(self, *argv: str | Path, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(Path(find_node()[0]).parent), str(Path(sys.executable).parent), os.environ["PATH"]])
        quiet = {"PATH": path, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "CI": "1"}
        done = subprocess.run(
            list(map(str, argv)), cwd=self.folder, env={**os.environ, **quiet}, capture_output=True, text=True,
            timeout=seconds, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-4000:]
        return done

    def node(self, *argv: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        return self.run(find_node()[0], *argv, seconds=seconds)

    def tool(self, name: str, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.node(f"node_modules/.bin/{name}", *argv)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    panel = make_panel(folder / "data", ORC_BASE_URL="http://panel.orca.test")
    panel.start()
    try:
        panel.wait_ready()
        made = Workshop(folder, panel)
        made.node(find_node()[1], "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        token = (panel.data_dir / "claim-token").read_text().strip()
        with panel.client() as http:
            assert http.post("/api/v1/claim", json={**OWNER, "token": token}).status_code == 201
            (folder / "openapi.json").write_text(http.get("/api/openapi.json").text)
        yield made
    finally:
        panel.stop()
        remove_all_of(panel)


def test_redocly_and_spectral_find_nothing(workshop: Workshop) -> None:
    redocly = workshop.tool("redocly", "lint", "openapi.json", "--extends", "recommended")
    assert "Your API description is valid" in redocly.stderr
    assert "warning" not in redocly.stdout + redocly.stderr, redocly.stderr[:4000]
    (workshop.folder / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    spectral = workshop.tool("spectral", "lint", "openapi.json", "--fail-severity", "hint")
    assert "No results with a severity" in spectral.stdout


def test_typescript_clients_compile_and_run(workshop: Workshop) -> None:
    workshop.tool("openapi-typescript", "openapi.json", "-o", "generated/types.ts")
    workshop.tool("openapi-ts", "-i", "openapi.json", "-o", "generated/hey", "-c", "@hey-api/client-fetch")
    workshop.tool("tsc", "-p", ".")
    for story in ("fetch", "hey"):
        done = workshop.node(f"compiled/{story}.js", workshop.panel.url, API_TOKEN, seconds=60)
        assert json.loads(done.stdout) == EXPECTED, story


def test_python_client_is_complete_and_runs(workshop: Workshop) -> None:
    home = workshop.folder / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    workshop.run(python, "-m", "pip", "install", "-q", "--require-hashes", "-r", "requirements.txt")
    made = workshop.run(
        home / "bin" / "openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "generated/python",
        "--config", "python-client.json",
    )  # fmt: skip
    assert "WARNING" not in made.stdout + made.stderr, made.stdout[-4000:]
    done = workshop.run(python, "story.py", workshop.panel.url, API_TOKEN, "generated/python", seconds=60)
    assert json.loads(done.stdout) == EXPECTED
