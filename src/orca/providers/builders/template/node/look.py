"""What is looked at to say what an application is, and the three answers that there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from orca.providers.builders.template.node.commands import Command, expand
from orca.providers.builders.template.node.javascript import Module
from orca.providers.builders.template.node.package import Package, Project

_CODE = ("js", "mjs", "ts", "mts", "cjs", "cts")


@dataclass(frozen=True, slots=True)
class Server:
    """A program that listens once the application is built."""

    framework: str
    start: str
    """The shell command, in the folder of the application; empty where only its own script can say it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the build needs to make this server."""
    after_build: str = ""
    is_complete: bool = False
    """Whether the build made everything that it needs, packages included."""
    tools: tuple[str, ...] = ()
    """Packages that the start command needs, and the repository does not bring."""
    build: str = ""
    """The framework's own build, where no script calls it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A reason why it cannot be built into something that serves, and the change that would help."""

    reason: str
    hint: str


@dataclass(frozen=True)
class Look:
    """One application: its package, and what its scripts run."""

    project: Project
    package: Package

    @property
    def folder(self) -> str:
        """Where it lies in the tree."""
        return self.package.folder

    @cached_property
    def build(self) -> list[Command]:
        """What the build script runs."""
        return self.script(self.package.build_script)

    @cached_property
    def start(self) -> list[Command]:
        """What the start script runs."""
        return self.script("start")

    def script(self, name: str) -> list[Command]:
        """What a script runs."""
        return expand(self.project, self.package.scripts.get(name, ""), self.folder)

    def builds_with(self, *programs: str) -> Command | None:
        """The last command of the build that is one of these programs, in this folder."""
        fits = (command for command in reversed(self.build) if command.program in programs)
        return next((command for command in fits if command.folder == self.folder), None)

    def has(self, *packages: str) -> bool:
        """Whether one of these is a dependency."""
        return any(name in self.package.all_dependencies for name in packages)

    def config(self, *stems: str) -> Module:
        """A configuration file in code; empty where there is none."""
        return Module(self.project.find_text(self.folder, *(f"{stem}.{end}" for stem in stems for end in _CODE)) or "")

    def has_config(self, *stems: str) -> bool:
        """Whether there is such a file."""
        return any(self.project.is_file(self.folder, f"{stem}.{end}") for stem in stems for end in _CODE)
