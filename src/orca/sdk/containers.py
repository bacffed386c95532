"""A container host holds containers, images, volumes and networks. Callers say which containers should exist."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel

from orca.sdk.connectors import CommandResult, Connector
from orca.sdk.plans import Change
from orca.sdk.terminals import Terminal, TerminalRequest
from orca.sdk.workloads import Listener, LogLine, Observation, ProcessSpec, Progress, Unwritable, VolumeOwner


@dataclass(frozen=True, slots=True)
class ContainerSpec(ProcessSpec):
    """A desired container. Its `name` is unique on the host."""


@dataclass(frozen=True, slots=True)
class Container(Observation):
    """An observed container. Its address is an IPv4 address in its Orca network, reachable from the host."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image on the host. `digest` is the registry's manifest digest when it came from one."""

    id: str
    tags: tuple[str, ...]
    digest: str | None
    size_bytes: int
    created_at: datetime
    labels: Mapping[str, str]
    ports: tuple[int, ...]
    """The ports that the image declares with EXPOSE."""
    named_port: int | None = None
    """The value of PORT in its environment."""
    architecture: str = ""
    """As the host writes it: `amd64`, `arm64`."""


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """Credentials for one registry host."""

    registry: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HostInfo:
    """The host's description of itself."""

    version: str
    api_version: str
    data_root: str
    cpus: int
    memory_bytes: int
    architecture: str = ""
    """Of its machine, as `uname -m` writes it."""


class ContainerHost(Protocol):
    """A connected host. Every call has its own deadline and raises ProviderError or a subclass.

    A failed observation raises ProviderUnavailable; it is never reported as "gone".
    """

    async def info(self) -> HostInfo:
        """Return the host's description of itself."""
        ...

    async def inspect(self, labels: Mapping[str, str]) -> list[Container]:
        """Return all containers, also stopped ones, with these labels. An empty value matches any value."""
        ...

    def plan(self, current: Sequence[Observation], desired: Sequence[ContainerSpec]) -> list[Change]:
        """Return what to create and start so that each desired container runs, and which of `current` to remove. Pure.

        Containers are matched by name. One that is desired and running is unchanged.
        """
        ...

    async def apply(self, changes: Sequence[Change]) -> None:
        """Apply the changes in order; safe to run twice. Networks and volumes are created as needed."""
        ...

    async def start(self, name: str) -> None:
        """Start an existing container. No error if it runs. Raises RequestRefused when it is gone."""
        ...

    async def stop(self, container_id: str, *, grace: float) -> None:
        """Send TERM, wait `grace` seconds, then send KILL. No error if the container is gone or stopped."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove a container (killing it if it runs), but not its volumes. No error if it is gone."""
        ...

    async def run_once(self, spec: ContainerSpec, *, deadline: float, progress: Progress) -> int:
        """Run a container to its end and return its exit code, streaming its lines to `progress`.

        The run survives the caller: a second call with the same spec name attaches to the running container, or
        returns the code of the finished one, and never runs the command again. The caller has to `remove` the
        container. On cancellation or deadline it is killed.
        """
        ...

    def logs(
        self, container_id: str, *, tail: int | None, follow: bool, since: datetime | None = None
    ) -> AsyncIterator[LogLine]:
        """Yield the last `tail` lines (None: all) and, with `follow`, new ones until the container ends.

        `since`: omit lines from before that instant; those of the same microsecond are included.
        """
        ...

    async def pull_image(self, reference: str, login: RegistryLogin | None, progress: Progress) -> Image:
        """Pull an image; its digest is resolved. Raises CredentialsRejected or RequestRefused (no such image)."""
        ...

    async def find_image(self, reference: str) -> Image | None:
        """Return the image by id, tag or digest, if the host has it."""
        ...

    async def list_images(self, labels: Mapping[str, str]) -> list[Image]:
        """Return the images with these labels."""
        ...

    async def remove_image(self, reference: str) -> bool:
        """Remove an image; False when it is in use or gone."""
        ...

    async def list_volumes(self, labels: Mapping[str, str]) -> list[str]:
        """Return the names of the volumes with these labels."""
        ...

    async def remove_volume(self, name: str) -> None:
        """Destroy a volume and its data. Raises RequestRefused if it has no label of Orca's, or is in use."""
        ...

    async def remove_network(self, name: str) -> None:
        """Remove an unused network of Orca's. No error if it is gone."""
        ...


@runtime_checkable
class SupportsExec(Protocol):
    """A host that can run a command inside a running container."""

    async def exec(self, container_id: str, argv: Sequence[str], *, deadline: float) -> CommandResult:
        """Run `argv` inside; on deadline the process is killed and DeadlineExceeded raised."""
        ...


@runtime_checkable
class SupportsTerminals(Protocol):
    """A host that can run interactive processes inside running containers."""

    async def prepare_terminal(self, container_id: str, request: TerminalRequest) -> str:
        """Return the id of a new terminal, whose process is not started yet."""
        ...

    def open_terminal(
        self, container_id: str, terminal_id: str, request: TerminalRequest
    ) -> AbstractAsyncContextManager[Terminal]:
        """Start the process; at the end of the context it is killed, with all processes of its session."""
        ...

    async def end_terminal(self, container_id: str, terminal_id: str) -> bool:
        """Kill what a terminal left running, of a caller that died; True when all of it is certainly gone."""
        ...


@runtime_checkable
class SupportsVolumeOwners(Protocol):
    """A host that can read and change the owners of data in volumes."""

    async def find_owner(self, spec: ContainerSpec) -> VolumeOwner | None:
        """Return the owner of the volume in `spec`, a container for this purpose; None if the path is not a folder."""
        ...

    async def own_volume(
        self, spec: ContainerSpec, *, before: Callable[[], Awaitable[None]], deadline: float, progress: Progress
    ) -> bool:
        """Change the owner of all data in the one mount of `spec` to the mount's owner; False if it was right already.

        `before` is awaited right before the owner of anything in it changes.
        `spec` is a container for this purpose: it may be run, and is removed at the end.
        """
        ...

    async def restore_owner(
        self, spec: ContainerSpec, owner: VolumeOwner, *, deadline: float, progress: Progress
    ) -> None:
        """Restore the former owner of the one volume of `spec`. Safe to repeat."""
        ...

    async def find_unwritable(self, container_id: str) -> list[Unwritable]:
        """Return the volumes in which the user of a container cannot write."""
        ...


@runtime_checkable
class SupportsListeners(Protocol):
    """A host that can see on which ports a container listens."""

    async def find_listeners(self, container_id: str) -> list[Listener] | None:
        """Return the TCP ports that its processes listen on, by number; None when that cannot be observed."""
        ...


@runtime_checkable
class SupportsStats(Protocol):
    """A host that can measure a running container."""

    async def stats(self, container_id: str) -> tuple[float, int]:
        """Return CPU as a share of one core (1.0 = a whole core) and memory in bytes."""
        ...


@runtime_checkable
class SupportsSurvey(Protocol):
    """A host that can list hundreds of containers in one call."""

    async def survey(self, labels: Mapping[str, str]) -> list[Container]:
        """Like `inspect`, but if a container has run for a minute, only its identity, labels and state are reliable."""
        ...


class ContainerHostProvider(Protocol):
    """Opens container hosts of one kind."""

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]

    def open(self, config: BaseModel, connector: Connector) -> AbstractAsyncContextManager[ContainerHost]:
        """Connect lazily: opening never fails because the host is down."""
        ...
