"""The import rules of the house catch what they are there for: one planted violation for each."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT

PLANTED = {
    "House layers": [
        ("kit/clock.py", "import orca.errors"),
        ("web/nav.py", "import orca.features.identity.models"),
        ("web/render.py", "import orca.features"),
        ("events/__init__.py", "import orca.features"),
        ("sdk/trees.py", "import orca.settings"),
        ("db/__init__.py", "import orca.tasks"),
        ("app.py", "import orca.server.serve"),
    ],
    "Processes that need another one to be stopped stand on it": [
        ("server/serve.py", "import orca.server.migrate"),
    ],
    "Features are ranked: calls go down": [
        ("features/identity/queries.py", "import orca.features.dashboard.pages"),
        ("features/services/queries.py", "import orca.features.deployments.models"),
        ("features/services/feature.py", "import orca.features.deployments.tasks"),
        ("features/manifest.py", "import orca.features.audit.queries"),
        ("features/zoo/__init__.py", '"""A feature that has no rank."""'),
    ],
    "Inside a feature: doors over story over actions over queries over tables over rules": [
        ("features/services/models.py", "import orca.features.services.queries"),
        ("features/routing/tasks.py", "import orca.features.routing.feature"),
        ("features/deployments/actions/cancel.py", "import orca.features.deployments.api"),
        ("features/routing/actions/targets.py", "import orca.features.routing.operations.apply"),
    ],
    "Manifests are loaded by name and imported by none": [
        ("features/services/queries.py", "import orca.features.deployments.feature"),
        ("app.py", "import orca.features.services.feature"),
    ],
    "Providers are imported by none": [("server/doctor.py", "import orca.providers.connectors.local")],
    "Providers import only sdk, errors and kit": [("providers/connectors/local/config.py", "import orca.db")],
    "Providers never import each other": [
        ("providers/builders/dockerfile/describe.py", "import orca.providers.engines.docker.plan")
    ],
    "Rules are pure": [
        ("features/services/rules.py", "import sqlalchemy"),
        ("features/access/rules.py", "import orca.db"),
    ],
    "The command line imports nothing of the server": [("cli/files.py", "import orca.sdk.trees")],
}
CASES = [(contract, *plant) for contract, plants in PLANTED.items() for plant in plants]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources in which things may be planted."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", copy)
    shutil.copytree(
        ROOT / "src" / "orca", copy / "src" / "orca", ignore=shutil.ignore_patterns("__pycache__", "static")
    )
    return copy


def broken_contracts(house: Path) -> set[str]:
    lint = Path(sys.executable).with_name("lint-imports")
    env = {**os.environ, "PYTHONPATH": str(house / "src"), "COLUMNS": "200"}
    found = subprocess.run([lint, "--no-cache"], cwd=house, env=env, capture_output=True, text=True)
    assert "Contracts:" in found.stdout, found.stdout + found.stderr
    return set(re.findall(r"^(.+?) BROKEN", found.stdout, re.MULTILINE))


def test_every_contract_has_a_planted_violation() -> None:
    names = set(
        re.findall(
            r'(?ms)\[\[tool\.importlinter\.contracts\]\]\nname = "([^"]+)"', (ROOT / "pyproject.toml").read_text()
        )
    )
    assert names == set(PLANTED)


def test_the_house_as_it_is_keeps_them(house: Path) -> None:
    assert broken_contracts(house) == set()


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "file", "line"), CASES)
def test_a_planted_violation_is_caught(house: Path, contract: str, file: str, line: str) -> None:
    path = house / "src" / "orca" / file
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before or ''}\n{line}\n")
    try:
        assert contract in broken_contracts(house)
    finally:
        path.unlink() if before is None else path.write_text(before)
        if before is None:
            path.parent.rmdir()
