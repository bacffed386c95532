"""The build hook: bundles when it must, only then, and says what to do when it cannot."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Hook = dict[str, Callable[..., Any]]


@pytest.fixture(scope="module")
def hook() -> Hook:
    return runpy.run_path(str(ROOT / "hatch_build.py"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a source distribution is made from, copied; neither bundle nor node_modules."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    root = tmp_path / "orca"
    left_out = shutil.ignore_patterns("dist", "node_modules", "__pycache__")
    for name in ["pyproject.toml", *project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        copy = partial(shutil.copytree, ignore=left_out) if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    return root


def stamp_as_bundled(hook: Hook, root: Path) -> Path:
    dist = root / "src/orca/web/static/dist"
    dist.mkdir()
    (dist / "manifest.json").write_text("{}")
    (dist / "sources.sha256").write_text(hook["fingerprint"](root, hook["source_files"](root)))
    return dist


def test_a_bundle_of_these_sources_is_kept(hook: Hook, checkout: Path) -> None:
    dist = stamp_as_bundled(hook, checkout)
    for path in checkout.rglob("*"):
        os.utime(path)  # a clone or an archive sets new times
    assert hook["bundle"](checkout) is False
    assert (dist / "manifest.json").read_text() == "{}"


@pytest.mark.parametrize(
    "changed",
    [
        "frontend/src/css/theme.css",
        "frontend/src/js/app.js",
        "frontend/package-lock.json",
        "frontend/build.mjs",
        "src/orca/web/static/logo.svg",
        "src/orca/web/templates/layout/base.html",
    ],
)
def test_any_source_changes_the_fingerprint(hook: Hook, checkout: Path, changed: str) -> None:
    before = hook["fingerprint"](checkout, hook["source_files"](checkout))
    with (checkout / changed).open("a") as file:
        file.write(" ")
    assert hook["fingerprint"](checkout, hook["source_files"](checkout)) != before


def test_a_renamed_source_changes_the_fingerprint(hook: Hook, checkout: Path) -> None:
    before = hook["fingerprint"](checkout, hook["source_files"](checkout))
    (checkout / "frontend/src/js/copy.js").rename(checkout / "frontend/src/js/copier.js")
    assert hook["fingerprint"](checkout, hook["source_files"](checkout)) != before


def test_a_failing_step_says_what_happened_and_what_to_do(hook: Hook, checkout: Path) -> None:
    node, _ = hook["find_node"]()
    with pytest.raises(SystemExit, match=r"(?s)failed at `node -e.*the reason.*npm ci && npm run build"):
        hook["run"]([node, "-e", "console.error('the reason'); process.exit(3)"], checkout, 30)


def test_a_step_that_hangs_is_ended(hook: Hook, checkout: Path) -> None:
    node, _ = hook["find_node"]()
    with pytest.raises(SystemExit, match="longer than 1 s"):
        hook["run"]([node, "-e", "setTimeout(() => {}, 60000)"], checkout, 1)


@pytest.mark.slow
def test_checkout_to_sdist_to_wheel_without_node_or_registry(checkout: Path, tmp_path: Path) -> None:
    build(checkout, tmp_path, "sdist", dict(os.environ))
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    [unpacked] = (tmp_path / "unpacked").iterdir()
    assert not (unpacked / "frontend/node_modules").exists()

    offline = {**os.environ, "PATH": "/nowhere", "npm_config_registry": "http://127.0.0.1:9/"}
    build(unpacked, tmp_path, "wheel", offline)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        names = set(files.namelist())
        manifest = json.loads(files.read("orca/web/static/dist/manifest.json"))
        [page] = [name for name in names if name.endswith(".data/data/share/man/man1/orc.1")]
        assert files.read(page).startswith(b".TH ORC 1 ")
    assert {"app.js", "app.css", "charts.js", "favicon.svg", "logo.svg", "notices.txt"} <= set(manifest)
    assert {f"orca/web/static/dist/{name}" for name in manifest.values()} <= names
    assert "orca/web/templates/components/ui.html" in names
    assert not (unpacked / "frontend/node_modules").exists(), "nothing was installed for the wheel"


def build(root: Path, out: Path, target: str, env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=root, env=env, check=True, timeout=280)
