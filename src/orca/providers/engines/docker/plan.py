"""Computes the changes after which the desired containers run. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from orca.sdk.containers import ContainerSpec
from orca.sdk.workloads import Observation

_LEFT_ALONE = {"running", "restarting", "unknown"}
"""The engine itself restarts containers, and a failed observation is no reason to act."""


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """Creates a missing container. Starting it is a separate change."""

    spec: ContainerSpec

    def describe(self) -> str:
        """For people."""
        return f"create container {self.spec.name} ({_short(self.spec.image)})"


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Starts a container that does not run."""

    name: str
    unprepared: ContainerSpec | None = None
    """What to prepare before the start: the process that created the container may have died before doing it."""

    def describe(self) -> str:
        """For people."""
        return f"start container {self.name}"


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Removes a container that is no longer wanted or cannot be started. Its volumes stay."""

    id: str
    name: str

    def describe(self) -> str:
        """For people."""
        return f"remove container {self.name} and keep its volumes"


def plan(
    current: Sequence[Observation], desired: Sequence[ContainerSpec]
) -> list[CreateContainer | StartContainer | RemoveContainer]:
    """Return creations and starts in the order of `desired`, then removals: new containers run before old ones go."""
    by_name = {container.name: container for container in current}
    changes: list[CreateContainer | StartContainer | RemoveContainer] = []
    for spec in desired:
        found = by_name.pop(spec.name, None)
        if found is not None and found.state in _LEFT_ALONE:
            continue
        if found is not None and found.state == "dead":
            changes.append(RemoveContainer(found.id, found.name))
        if found is None or found.state == "dead":
            changes.append(CreateContainer(spec))
        is_unprepared = found is not None and found.state == "created"
        changes.append(StartContainer(spec.name, spec if is_unprepared else None))
    return [*changes, *(RemoveContainer(container.id, container.name) for container in by_name.values())]


def _short(image: str) -> str:
    """Shorten `sha256:3f2a…` as Docker's own tools do, and a reference by its digest."""
    return image.removeprefix("sha256:")[:12] if image.startswith("sha256:") else image.partition("@")[0]
