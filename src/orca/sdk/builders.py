"""Builders turn a source tree into an image."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import BaseModel

from orca.sdk.connectors import Connector
from orca.sdk.engines import RegistryLogin

Log = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Detection:
    """What a builder found in a source tree, in words a person can check."""

    builder: str
    kind: str
    """`dockerfile`, `static`, `python`, `node`, `go`, `ruby`, `php`, `procfile`."""
    summary: str
    """For example `Python (FastAPI, uv) · app in main.py`."""
    dockerfile: str
    """The Dockerfile that will be used, as text."""
    port: int | None = None
    service_kind: str = "web"
    evidence: tuple[str, ...] = ()
    """Files that led here."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Other files the Dockerfile needs, by path in the tree; one that is there already is kept."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build. `tree` is a fresh directory that belongs to this build; nothing outside is read."""

    id: str
    tree: Path
    """The directory to build in (the subdirectory already applied)."""
    tag: str
    labels: Mapping[str, str]
    cache_key: str
    """Builds with the same key share a cache; keys never cross a team."""
    dockerfile: str = "Dockerfile"
    """Relative to `tree`."""
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Given to `RUN --mount=type=secret,id=NAME` only."""
    logins: tuple[RegistryLogin, ...] = field(default=(), repr=False)
    """For fetching base images and nothing else; the first one for a registry counts."""
    guarded_registries: frozenset[str] = frozenset()
    """Whoever builds on an image from these must be let in there, even if the engine has the image."""
    cpus: float = 1.5
    memory_bytes: int = 2 << 30
    deadline: float = 1800.0
    options: Mapping[str, str] = field(default_factory=dict)
    """What the user chose for a template: `entrypoint`, `version`, `root`."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is now on the engine."""

    id: str
    tag: str
    size_bytes: int


class Builder(Protocol):
    """A live builder."""

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection | None:
        """Say whether this builder can build the tree; reads files only, never follows links out of it.

        `options`: what `BuildRequest.options` will hold, and `dockerfile`, which names another one than usual.
        Raises BadInput for options it cannot use.
        """
        ...

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """Build, streaming the log line by line. Cancelling really stops the build.

        Raises StepFailed with the cause and the next step, DeadlineExceeded, ProviderUnavailable.
        """
        ...


class BuilderProvider(Protocol):
    """Opens builders of one kind."""

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]
    order: ClassVar[int]
    """Detection asks builders in this order; the first answer wins."""

    def open(self, config: BaseModel, connector: Connector) -> AbstractAsyncContextManager[Builder]:
        """Connect lazily."""
        ...
