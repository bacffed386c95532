"""Finds providers through entry points, built-in ones in the same way as those of plugins."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import entry_points
from typing import Any

from orca.errors import BadInput
from orca.sdk.builders import BuilderProvider
from orca.sdk.connectors import ConnectorProvider
from orca.sdk.containers import ContainerHostProvider
from orca.sdk.engines import EngineProvider
from orca.sdk.proxies import ProxyProvider


@dataclass(frozen=True, slots=True)
class Plugins:
    """The provider classes of each family, by name."""

    engines: Mapping[str, type[EngineProvider]] = field(default_factory=dict)
    containers: Mapping[str, type[ContainerHostProvider]] = field(default_factory=dict)
    proxies: Mapping[str, type[ProxyProvider]] = field(default_factory=dict)
    builders: Mapping[str, type[BuilderProvider]] = field(default_factory=dict)
    connectors: Mapping[str, type[ConnectorProvider]] = field(default_factory=dict)


def load_plugins() -> Plugins:
    """Load every family. A provider that cannot be imported aborts the start with its name."""
    return Plugins(**{family.name: _load(f"orca.{family.name}") for family in fields(Plugins)})


def choose(family: Mapping[str, Any], name: str, *, what: str) -> Any:
    """Return the provider of that name. Raises BadInput that lists the available ones."""
    if name not in family:
        raise BadInput(f"there is no {what} called “{name}”", hint=f"installed: {', '.join(sorted(family)) or 'none'}")
    return family[name]


def _load(group: str) -> dict[str, Any]:
    return {entry.name: entry.load() for entry in entry_points(group=group)}
