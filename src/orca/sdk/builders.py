"""Builders turn a source tree into an image."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel

from orca.sdk.connectors import Connector
from orca.sdk.engines import RegistryLogin

Log = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Detection:
    """What a builder found in a source tree, in words a person can check."""

    builder: str
    kind: str
    """`dockerfile`, or the language of the template: `static`, `python`, `node`, `go`, `ruby`, `php`…"""
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
    framework: str = ""
    """As people call it: `Django`, `Spring Boot`; empty where there is none."""
    language: str = ""
    version: str | None = None
    """The major or minor version that the project pins; None where any will do."""
    package_manager: str | None = None
    package_manager_version: str | None = None
    install: str | None = None
    build: str | None = None
    output: str | None = None
    """The folder with the files of a static site, after the build."""
    start: str | None = None
    """The shell command that runs; None where the base image decides."""
    processes: Mapping[str, str] = field(default_factory=dict)
    """All processes that the project names (a Procfile), by name, without `release`."""
    release: str | None = None
    """What the project wants to be run once before each release: migrations."""
    warnings: tuple[str, ...] = ()
    """What will work, but perhaps not as expected; and what was assumed."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder of the tree that could be built instead."""

    folder: str
    title: str
    options: Mapping[str, str] = field(default_factory=dict)
    """What builds it from the root instead, where the folder alone cannot be built."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The builder knows what the tree is, and that it must not or cannot be built as one application."""

    reason: str
    """A sentence: what is here and why that cannot be deployed."""
    hint: str = ""
    """What would make it work."""
    found: tuple[str, ...] = ()
    """The files that say so."""
    candidates: tuple[Candidate, ...] = ()


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
    """Given to `RUN --mount=type=secret,id=NAME` only; a template gives each command all of them as variables."""
    secret_marks: Mapping[str, str] = field(default_factory=dict)
    """A keyed hash of each secret: when one changes, what was made with it is not taken from the cache."""
    logins: tuple[RegistryLogin, ...] = field(default=(), repr=False)
    """For fetching base images and nothing else; the first one for a registry counts."""
    guarded_registries: frozenset[str] = frozenset()
    """Whoever builds on an image from these must be let in there, even if the engine has the image."""
    cpus: float = 1.5
    memory_bytes: int = 2 << 30
    deadline: float = 1800.0
    options: Mapping[str, str] = field(default_factory=dict)
    """What the user chose for a template: `entrypoint`, `version`, `root`."""
    source: Path | None = None
    """The whole source, where `tree` is a subdirectory of it."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is now on the engine."""

    id: str
    tag: str
    size_bytes: int
    warnings: tuple[str, ...] = ()
    """What the user should know although the build succeeded."""


class Builder(Protocol):
    """A live builder."""

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection | Refusal | None:
        """Say whether this builder can build the tree; reads files only, never follows links out of it.

        None when the tree is nothing it knows. A Refusal says why a tree that it knows cannot be built; builders
        after this one are asked all the same.

        `options`: what `BuildRequest.options` will hold, and `dockerfile`, which names another one than usual, and
        `target`, the stage of it that will be built.
        Raises BadInput for options it cannot use.
        """
        ...

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """Build, streaming the log line by line. Cancelling really stops the build.

        Raises StepFailed with the cause and the next step, DeadlineExceeded, ProviderUnavailable.
        """
        ...


@runtime_checkable
class MemberBuilder(Protocol):
    """An optional ability: a folder that belongs to a workspace is built with the packages that it shares."""

    async def detect_member(
        self, root: Path, folder: Path, options: Mapping[str, str] | None = None
    ) -> Detection | Refusal | None:
        """Like `Builder.detect` for a folder of the source in `root`; None where it is not part of a workspace."""
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
