"""Builders turn a source tree into an image."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Protocol, runtime_checkable

from pydantic import BaseModel

from orca.sdk.connectors import Connector
from orca.sdk.containers import RegistryLogin

Log = Callable[[str], Awaitable[None]]
NAME: Final = r"^[a-z][a-z0-9-]{0,31}$"
"""The pattern of a builder's name, which users write in `orca.yaml`."""
SECRET_NAMES = re.compile(r"(?:^|_)(?:TOKEN|PASSWORD|PASSWD|SECRET|KEY|CREDENTIALS?|PASS)$", re.IGNORECASE)
PUBLIC_NAMES = re.compile(r"(?:PUBLIC|PUBLISHABLE|SITE)_KEY$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Detection:
    """What a builder found in a source tree, described so that a person can check it."""

    builder: str
    kind: str
    """`dockerfile`, or the language of the template: `static`, `python`, `node`, `go`, `ruby`, `php`…"""
    summary: str
    """For example `Python (FastAPI, uv) · app in main.py`."""
    dockerfile: str
    """The Dockerfile that will be used, as text."""
    port: int | None = None
    port_choices: tuple[int, ...] = ()
    """Candidates for the visitors' port, where there are several and `port` is None."""
    service_kind: str = "web"
    evidence: tuple[str, ...] = ()
    """The files on which the detection is based."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Other files that the Dockerfile needs, by path in the tree; existing files are not replaced."""
    framework: str = ""
    """Display name: `Django`, `Spring Boot`; empty where there is none."""
    language: str = ""
    version: str | None = None
    """The major or minor version that the project pins; None if it pins none."""
    package_manager: str | None = None
    package_manager_version: str | None = None
    install: str | None = None
    build: str | None = None
    output: str | None = None
    """The folder with the files of a static site, after the build."""
    start: str | None = None
    """The shell command that starts the service; None where the base image defines it."""
    processes: Mapping[str, str] = field(default_factory=dict)
    """All processes that the project declares (in a Procfile), by name, without `release`."""
    release: str | None = None
    """The command that the project declares to run once before each release, such as migrations."""
    warnings: tuple[str, ...] = ()
    """What may not work as expected, and what was assumed."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder of the tree that can be built instead."""

    folder: str
    title: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Options that build it from the root, where the folder alone cannot be built."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The builder recognises the tree, but it must not or cannot be built as one application."""

    reason: str
    """A sentence: what the tree is and why it cannot be deployed."""
    hint: str = ""
    """How to make it work."""
    found: tuple[str, ...] = ()
    """The files on which the refusal is based."""
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build. `tree` is a fresh directory of this build; nothing outside of it is read."""

    id: str
    tree: Path
    """The directory to build in (with the subdirectory already applied)."""
    tag: str
    labels: Mapping[str, str]
    cache_key: str
    """Builds with the same key share a cache; different teams never have the same key."""
    dockerfile: str = "Dockerfile"
    """Relative to `tree`."""
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Only mounted by `RUN --mount=type=secret,id=NAME`; a template exports all of them to each command."""
    secret_marks: Mapping[str, str] = field(default_factory=dict)
    """A keyed hash of each secret: when it changes, cached steps that used the secret are not reused."""
    logins: tuple[RegistryLogin, ...] = field(default=(), repr=False)
    """Used only to fetch base images; the first one for a registry is used."""
    guarded_registries: frozenset[str] = frozenset()
    """For base images from these registries the build's own login must work, even if the engine has the image."""
    cpus: float = 1.5
    memory_bytes: int = 2 << 30
    deadline: float = 1800.0
    options: Mapping[str, str] = field(default_factory=dict)
    """The user's options for a template: `entrypoint`, `version`, `root`."""
    source: Path | None = None
    """The whole source, if `tree` is a subdirectory of it."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is now on the engine."""

    id: str
    tag: str
    size_bytes: int
    warnings: tuple[str, ...] = ()
    """Warnings for the user, although the build succeeded."""


class Builder(Protocol):
    """An open builder."""

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection | Refusal | None:
        """Return whether this builder can build the tree; only reads files, and follows no links out of it.

        None when it does not recognise the tree. A Refusal explains why a recognised tree cannot be built; the
        remaining builders are still asked.

        `options`: those of the later `BuildRequest.options`, and `dockerfile`, the name of another Dockerfile, and
        `target`, the stage of it to build.
        Raises BadInput for options that it cannot use.
        """
        ...

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """Build, streaming the log line by line. A cancellation stops the build itself.

        Raises StepFailed with the cause and the next step, DeadlineExceeded, ProviderUnavailable.
        """
        ...


@runtime_checkable
class MemberBuilder(Protocol):
    """Optional: builds a folder that belongs to a workspace together with the packages that it shares."""

    async def detect_member(
        self, root: Path, folder: Path, options: Mapping[str, str] | None = None
    ) -> Detection | Refusal | None:
        """Like `Builder.detect` for a folder of the source in `root`; None where it is not part of a workspace."""
        ...


@runtime_checkable
class ChosenBuilder(Protocol):
    """Optional: a builder that accepts any tree, so that it is never detected and has to be chosen by name."""

    only_when_chosen: ClassVar[bool]


class BuilderProvider(Protocol):
    """Opens builders of one kind."""

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]
    order: ClassVar[int]
    """Detection asks builders in this order; the first answer wins."""

    def open(self, config: BaseModel, connector: Connector) -> AbstractAsyncContextManager[Builder]:
        """Return a builder that connects on first use."""
        ...


def is_secret_like(name: str) -> bool:
    """Whether a name looks like that of a secret: `NPM_TOKEN`, `DB_PASSWORD`."""
    return bool(SECRET_NAMES.search(name)) and not PUBLIC_NAMES.search(name)
