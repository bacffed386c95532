"""What to do so that the desired containers run. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from orca.sdk.engines import Container, ContainerSpec

_LEFT_ALONE = {"running", "restarting", "unknown"}
"""Restarting is the engine's own business, and a failed observation is no reason to act."""


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """A container that is missing. It is started by a change of its own."""

    spec: ContainerSpec

    def describe(self) -> str:
        """For people."""
        return f"create container {self.spec.name} ({_short(self.spec.image)})"


@dataclass(frozen=True, slots=True)
class StartContainer:
    """A container that does not run."""

    name: str

    def describe(self) -> str:
        """For people."""
        return f"start container {self.name}"


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """A container that is no longer wanted, or beyond starting. Its volumes stay."""

    id: str
    name: str

    def describe(self) -> str:
        """For people."""
        return f"remove container {self.name} and keep its volumes"


def plan(
    current: Sequence[Container], desired: Sequence[ContainerSpec]
) -> list[CreateContainer | StartContainer | RemoveContainer]:
    """Creations and starts in the order of `desired`, then removals, so that the new stands before the old goes."""
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
        changes.append(StartContainer(spec.name))
    return [*changes, *(RemoveContainer(container.id, container.name) for container in by_name.values())]


def _short(image: str) -> str:
    """`sha256:3f2a…` shortened as people know it; a reference as it is."""
    return image.removeprefix("sha256:")[:12] if image.startswith("sha256:") else image.partition("@")[0]
