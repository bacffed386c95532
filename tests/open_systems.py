"""Systems whose handles a test gives, instead of providers that open them."""

from dataclasses import replace
from typing import Any

from orca.errors import NotFound, ProviderUnavailable
from orca.providers.connectors.local import LocalConnector
from orca.providers.engines.docker import DockerEngine
from orca.resources import Resources
from orca.systems import LOCAL, Systems


class OpenSystems(Systems):
    """Handles by system and kind; `local` is always there."""

    def __init__(self, **local: Any) -> None:
        nothing: Any = None
        super().__init__(nothing, nothing, nothing)
        self.handles: dict[str, dict[str, Any]] = {LOCAL: {"builders": {}, "connector": LocalConnector(), **local}}

    async def _get(self, kind: str, system_id: str, _open: Any) -> Any:
        if system_id not in self.handles:
            raise NotFound(f"there is no system “{system_id}”")
        handles = self.handles[system_id]
        if kind == "engine" and kind not in handles:
            return DockerEngine(handles["containers"])
        if kind not in handles:
            raise ProviderUnavailable(f"This test has no {kind} on “{system_id}”.")
        return handles[kind]

    async def list_ids(self) -> list[str]:
        return list(self.handles)


def exchange(resources: Resources, **local: Any) -> Resources:
    """The same resources with other handles of this machine; what the process keeps about it stays."""
    other = begin_again(resources, **local)
    other.systems._states = resources.systems._states
    return other


def begin_again(resources: Resources, **local: Any) -> Resources:
    """The same handles in a process that has just begun: nothing is remembered."""
    other, known = OpenSystems(**local), resources.systems
    if isinstance(known, OpenSystems):
        other.handles = {**known.handles, LOCAL: {**known.handles[LOCAL], **local}}
    return replace(resources, systems=other)


def host_of(resources: Resources) -> Any:
    """The container host of this machine, as the test gave it."""
    return handle_of(resources, "containers")


def proxy_of(resources: Resources) -> Any:
    """The proxy of this machine, as the test gave it."""
    return handle_of(resources, "proxy")


def handle_of(resources: Resources, kind: str) -> Any:
    """A handle of this machine, as the test gave it."""
    assert isinstance(resources.systems, OpenSystems)
    return resources.systems.handles[LOCAL][kind]
