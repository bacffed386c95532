"""The input of the detection of an application, and its three possible results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from orca.providers.builders.template.node.commands import ScriptCommand, expand
from orca.providers.builders.template.node.javascript import Module
from orca.providers.builders.template.node.package import NodeProject, Package

_CODE = ("js", "mjs", "ts", "mts", "cjs", "cts")


@dataclass(frozen=True, slots=True)
class Server:
    """A program that listens once the application is built."""

    framework: str
    start: str
    """The shell command, run in the application's folder; empty if only the project's own script defines it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the build needs to produce this server."""
    after_build: str = ""
    is_complete: bool = False
    """Whether the build output contains everything that it needs, including packages."""
    tools: tuple[str, ...] = ()
    """Packages that the start command needs but the repository does not declare."""
    build: str = ""
    """The framework's own build command, if no script calls it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why it cannot be built as a server or a site, and the change that would help."""

    reason: str
    hint: str


@dataclass(frozen=True)
class PackageScripts:
    """One application: its package, and the commands of its scripts."""

    project: NodeProject
    package: Package

    @property
    def folder(self) -> str:
        """Its folder in the tree."""
        return self.package.folder

    @cached_property
    def build(self) -> list[ScriptCommand]:
        """The commands of the build script."""
        return self.script(self.package.build_script)

    @cached_property
    def start(self) -> list[ScriptCommand]:
        """The commands of the start script."""
        return self.script("start")

    def script(self, name: str) -> list[ScriptCommand]:
        """Return the commands of a script."""
        return expand(self.project, self.package.scripts.get(name, ""), self.folder)

    def builds_with(self, *programs: str) -> ScriptCommand | None:
        """Return the last build command in this folder that runs one of these programs."""
        fits = (command for command in reversed(self.build) if command.program in programs)
        return next((command for command in fits if command.folder == self.folder), None)

    def has(self, *packages: str) -> bool:
        """Whether one of these is a dependency."""
        return any(name in self.package.all_dependencies for name in packages)

    def config(self, *stems: str) -> Module:
        """Read a configuration file that is code; empty if there is none."""
        return Module(self.project.find_text(self.folder, *(f"{stem}.{end}" for stem in stems for end in _CODE)) or "")

    def has_config(self, *stems: str) -> bool:
        """Whether there is such a file."""
        return any(self.project.is_file(self.folder, f"{stem}.{end}") for stem in stems for end in _CODE)
