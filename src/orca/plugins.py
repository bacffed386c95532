"""Finds providers through entry points, built-in ones in the same way as those of plugins.

A provider that cannot be used stops none of the others: it is left out, and the reason kept for those who choose it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

from pydantic import BaseModel

from orca.errors import ProviderUnusable
from orca.kit.text import clean_output, shorten
from orca.sdk import VERSION
from orca.sdk.builders import NAME, Builder, BuilderProvider, BuildRequest, BuiltImage, Detection, Log
from orca.sdk.connectors import ConnectorProvider
from orca.sdk.containers import ContainerHostProvider
from orca.sdk.engines import EngineProvider
from orca.sdk.proxies import ProxyProvider

FAMILIES: Final = {
    "engines": "engine", "containers": "container host", "proxies": "proxy", "builders": "builder",
    "connectors": "connector",
}  # fmt: skip
"""Family -> what one of its providers is called; the entry points of a family are in the group `orca.<family>`."""
PACKAGE: Final = "orca-platform"
"""The package of the built-in providers."""
_NAME = re.compile(NAME)
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Unused:
    """A provider that is installed, but not used."""

    family: str
    name: str
    package: str
    """Its package with its version; empty when that is not known."""
    reason: str
    """What is wrong with it, without a subject: `cannot be imported (ImportError: …)`."""
    remedy: str

    @property
    def message(self) -> str:
        """Which one it is, and why it is not used."""
        of = f" of the package {self.package}" if self.package else ""
        return f"The {FAMILIES[self.family]} “{self.name}”{of} {self.reason}."

    def as_error(self) -> ProviderUnusable:
        """Return the error of those who choose it."""
        return ProviderUnusable(self.message, hint=self.remedy)


@dataclass(frozen=True, slots=True)
class Plugins:
    """The provider classes of each family, by name."""

    engines: Mapping[str, type[EngineProvider]] = field(default_factory=dict)
    containers: Mapping[str, type[ContainerHostProvider]] = field(default_factory=dict)
    proxies: Mapping[str, type[ProxyProvider]] = field(default_factory=dict)
    builders: Mapping[str, type[BuilderProvider]] = field(default_factory=dict)
    connectors: Mapping[str, type[ConnectorProvider]] = field(default_factory=dict)
    unused: Sequence[Unused] = ()

    def choose(self, family: str, name: str) -> Any:
        """Return the class of that name. Raises ProviderUnusable: not installed, or installed and of no use."""
        found: Mapping[str, Any] = getattr(self, family)
        if name in found:
            return found[name]
        for unused in self.unused:
            if (unused.family, unused.name) == (family, name):
                raise unused.as_error()
        raise missing(family, name, found)

    def has(self, family: str, name: str) -> bool:
        """Whether a provider of that name is installed, of use or not."""
        return name in getattr(self, family) or any(
            (unused.family, unused.name) == (family, name) for unused in self.unused
        )

    def find_host(self, engine: str) -> str | None:
        """Return the name of the container host that an engine stands on; None where it has none."""
        name = str(getattr(self.engines.get(engine), "container_host", engine))
        return name if self.has("containers", name) else None

    def choose_host(self, engine: str) -> str:
        """Return the name of the container host of an engine. Raises ProviderUnusable for an engine that has none."""
        name = self.find_host(engine)
        if name is None and self.has("engines", engine):
            raise without_host(engine)
        return name or engine


def missing(family: str, name: str, installed: Mapping[str, Any]) -> ProviderUnusable:
    """Return the error that says that no package with this provider is installed."""
    others = ", ".join(sorted(installed)) or "none"
    return ProviderUnusable(
        f"The {FAMILIES[family]} “{name}” is not installed.",
        hint=f"Install the package that has it and restart Orca, or choose one that is installed: {others}.",
    )


def without_host(engine: str) -> ProviderUnusable:
    """Return the error for what only a container host does, on a system whose engine has none."""
    return ProviderUnusable(
        f"The engine “{engine}” has no container host, which pulls images and keeps volumes.",
        hint="Install the package that has it, or choose an engine that has one. A plugin's engine may "
        "stand on a host of another name, which it has as `container_host`.",
    )


class UnusableBuilder:
    """Stands where a builder cannot be used: detection passes over it, and choosing it by name says why."""

    only_when_chosen: ClassVar[bool] = True

    def __init__(self, problem: ProviderUnusable) -> None:
        self.problem = problem

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection:
        """Raise the problem."""
        del tree, options
        self.refuse()

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """Raise the problem."""
        del request, log
        self.refuse()

    def refuse(self) -> NoReturn:
        """Raise the problem: a new error each time, as it takes the traceback of its caller."""
        raise ProviderUnusable(self.problem.message, hint=self.problem.hint)


def check_builder(builders: Mapping[str, Builder], name: str) -> None:
    """Raise ProviderUnusable when there is no builder of this name, or none that can be used."""
    found = builders.get(name)
    if found is None:
        raise missing("builders", name, builders)
    if isinstance(found, UnusableBuilder):
        found.refuse()


@cache
def list_installed(family: str) -> tuple[str, ...]:
    """Return the names of the installed providers of a family, of use or not, in order; none of them is loaded."""
    return tuple(sorted({point.name for point in entry_points(group=f"orca.{family}")}))


def load_plugins() -> Plugins:
    """Load every family. A provider that cannot be used is left out, with the reason in `unused`."""
    unused: list[Unused] = []
    installed = entry_points()  # once: it reads a file of every package
    found = {family: dict(_load(family, installed.select(group=f"orca.{family}"), unused)) for family in FAMILIES}
    return Plugins(**found, unused=unused)


def _load(family: str, points: EntryPoints, unused: list[Unused]) -> Iterator[tuple[str, Any]]:
    """Yield the usable providers of a family, and add the others to `unused`.

    Of several with one name the built-in one is used; where none is built in, none is used, since which one was meant
    is not known.
    """
    entries = sorted(points, key=lambda point: (point.name, not _is_own(point)))
    for name, same in groupby(entries, key=attrgetter("name")):
        first, *others = same
        if others and not _is_own(first):
            others = [first, *others]
        for entry in others:
            rivals = ", ".join(_package(other) for other in (first, *others) if _package(other) != _package(entry))
            remedy = "Uninstall it, or ask its author for another name; then restart Orca."
            unused.append(
                Unused(family, name, _package(entry), f"is not used: its name is also that of {rivals}", remedy)
            )
        if first in others:
            continue
        provider, fault = _import(family, first)
        if fault is None:
            yield name, provider
        else:
            unused.append(fault)


def _is_own(entry: EntryPoint) -> bool:
    return entry.dist is not None and entry.dist.name == PACKAGE


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else ""


def _import(family: str, entry: EntryPoint) -> tuple[Any, Unused | None]:
    """Return the class, and what is wrong with it."""
    remedy = "Install a version of it that fits this Orca, or uninstall it; then restart Orca."
    try:
        provider = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is not ours, and may fail in any way
        return None, Unused(family, entry.name, _package(entry), f"cannot be imported ({describe(error)})", remedy)
    reason = _find_fault(family, entry.name, provider)
    return provider, Unused(family, entry.name, _package(entry), reason, remedy) if reason else None


def _find_fault(family: str, name: str, provider: Any) -> str:
    """Return why a class is no provider of this family that Orca can use; empty when it is one."""
    version = getattr(provider, "sdk_version", VERSION)
    if version != VERSION:
        return f"is made for version {version} of the SDK, and this Orca has version {VERSION}"
    config = getattr(provider, "Config", None)
    if not (isinstance(provider, type) and callable(getattr(provider, "open", None))):
        return "is no class with a method `open`"
    if not (isinstance(config, type) and issubclass(config, BaseModel)):
        return "has no pydantic model as its `Config`"
    return _find_builder_fault(name, provider) if family == "builders" else ""


def _find_builder_fault(name: str, provider: Any) -> str:
    if not _NAME.match(name):
        return "has no name of lower-case letters, digits and dashes, 32 at the most"
    if getattr(provider, "name", None) != name:
        return f"has another `name` than its entry point: {getattr(provider, 'name', None)}"
    if not isinstance(getattr(provider, "order", None), int):
        return "has no number as its `order`"
    return ""


def describe(error: BaseException) -> str:
    """Return class and message of an error of a plugin, as one line of limited length."""
    text = " ".join(clean_output(str(error), colours=False).split())
    return shorten(f"{type(error).__name__}: {text}" if text else type(error).__name__, _LONGEST_REASON)
