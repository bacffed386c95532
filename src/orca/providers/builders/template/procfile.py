"""Procfiles: one line per process. `web`, or else the first, becomes the service; the others can be services, too."""

import re
from dataclasses import dataclass, field

from orca.providers.builders.template.manifests import find_text
from orca.sdk.trees import Tree

_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")
_LINE_LIMIT = 4000
_RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Procfile:
    """The processes of a project. Without a file there are none."""

    processes: dict[str, str] = field(default_factory=dict)
    release: str | None = None
    """The command to run once before each release."""

    @property
    def web(self) -> str:
        """The command of the web process; empty if there is none."""
        return self.processes.get("web", "")

    @property
    def main(self) -> tuple[str, str] | None:
        """Name and command of the process that the service runs."""
        return choose_process(self.processes)

    @property
    def is_worker(self) -> bool:
        """Whether the service runs a process that is not `web`: then it is a worker."""
        return self.main is not None and self.main[0] != "web"


def read_procfile(tree: Tree) -> Procfile:
    """The Procfile in the root of the tree."""
    processes = parse_procfile(find_text(tree, "Procfile"))
    release = processes.pop(_RELEASE, None)
    return Procfile(processes, release)


def parse_procfile(text: str) -> dict[str, str]:
    """Parse to process name -> shell command, in the order of the file; other lines are skipped."""
    matches = (_LINE.fullmatch(line.strip()) for line in text.splitlines()[:500] if len(line) < _LINE_LIMIT)
    return {match["name"]: match["command"] for match in matches if match}


def choose_process(processes: dict[str, str]) -> tuple[str, str] | None:
    """The name and command of the process that the service runs."""
    name = "web" if "web" in processes else next((name for name in processes if name != _RELEASE), None)
    return (name, processes[name]) if name else None
