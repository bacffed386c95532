"""Environments with Orca in which packages of providers are installed and removed."""

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "providers"


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment of its own, on top of that of the tests, which has Orca."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Environment":
        venv.create(folder, with_pip=False)
        made = cls(folder)
        beneath = next(path for path in sys.path if path.endswith("site-packages"))
        # As a site folder and not as a plain path: an editable Orca is a .pth file in it.
        (made.site / "beneath.pth").write_text(f"import site; site.addsitedir({beneath!r})\n")
        return made

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    @property
    def site(self) -> Path:
        return next(self.folder.glob("lib/python*/site-packages"))

    def pip(self, *arguments: str) -> None:
        argv = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def install(self, wheel: Path) -> None:
        self.pip("install", "--no-index", "--no-deps", str(wheel))

    def uninstall(self, package: str) -> None:
        self.pip("uninstall", "--yes", package)

    def run(self, *argv: str, cwd: Path | str = "/", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *argv], capture_output=True, text=True, timeout=200, cwd=cwd, env=env or None
        )


def build_wheel(source: Path, folder: Path) -> Path:
    """Build a package without an index."""
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index", "--no-deps",
            "--no-build-isolation", "--wheel-dir", str(folder), str(source)]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def write_package(site: Path, package: str, entry_point: str, source: str) -> None:
    """Write a package as an installer leaves it. `entry_point`: `group name class`."""
    module = package.replace("-", "_")
    group, name, provider = entry_point.split()
    (site / f"{module}.py").write_text(dedent(source))
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{provider}\n")


PROVIDER = """
    from contextlib import asynccontextmanager
    from pydantic import BaseModel

    class Config(BaseModel):
        pass

    class Provider:
        name = "{name}"
        Config = Config
        order = 1
        {more}

        @asynccontextmanager
        async def open(self, config, *arguments):
            yield None
    """
"""The source of a provider, for `str.format`."""

DEMANDING = """
    from contextlib import asynccontextmanager
    from pydantic import BaseModel

    class Config(BaseModel):
        licence: str

    class Provider:
        name = "demanding"
        Config = Config
        order = 1

        @asynccontextmanager
        async def open(self, config, connector):
            yield None
    """
"""A builder with a configuration that Orca cannot fill."""
