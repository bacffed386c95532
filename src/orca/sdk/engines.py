"""Engines run containers. Orca says which containers should exist; an engine plans and applies the difference."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from orca.errors import ProviderUnavailable
from orca.sdk.connectors import CommandResult, Connector
from orca.sdk.plans import Change

ContainerState = Literal["created", "running", "restarting", "paused", "exited", "dead", "unknown"]
RestartPolicy = Literal["always", "unless-stopped", "on-failure", "no"]
Progress = Callable[[str], Awaitable[None]]


class EngineAway(ProviderUnavailable):
    """The engine itself does not answer; it may be restarting. What it was asked for may have happened or not."""


class EngineFailed(ProviderUnavailable):
    """The engine answered, but with a failure of its own: something behind it may be restarting."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume that Orca owns, at a path inside the container."""

    volume: str
    path: str
    read_only: bool = False
    owner: str = ""
    """`uid` or `uid:gid` that an empty volume gets; empty: the user the container runs as."""
    mode: int | None = None
    """Permissions that an empty volume gets."""


@dataclass(frozen=True, slots=True)
class Unwritable:
    """A volume in which the process of a container cannot write."""

    volume: str
    path: str
    place: str
    """The first path that is closed to it: the mount itself, or something in it."""
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container as it should be. `name` is unique on the engine and is what makes creation idempotent."""

    name: str
    image: str
    """An image id or a reference pinned by digest; it must be on the engine already."""
    network: str
    labels: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    """Replaces the image's command; empty keeps it."""
    entrypoint: tuple[str, ...] = ()
    """Replaces what the image starts before the command; empty keeps it."""
    user: str = ""
    """Who the process runs as; empty: whom the image names."""
    ignores_health: bool = False
    """Whether the image's own health check is not run."""
    mounts: tuple[Mount, ...] = ()
    cpus: float | None = None
    memory_bytes: int | None = None
    pids: int = 4096
    restart: RestartPolicy = "unless-stopped"
    stop_grace: float = 10.0
    """Seconds between TERM and KILL."""
    ports: tuple[int, ...] = ()
    """TCP ports the process listens on. They are never published on the host."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container as it was observed."""

    id: str
    name: str
    image_id: str
    labels: Mapping[str, str]
    state: ContainerState
    address: str | None
    """IPv4 address on its Orca network, reachable from the host and the same after a restart of either."""
    exit_code: int | None
    restarts: int
    out_of_memory: bool
    started_at: datetime | None
    health: Literal["none", "starting", "healthy", "unhealthy"] = "none"
    health_output: str = ""
    """What the last run of the image's own health check wrote."""
    health_test: tuple[str, ...] = ()
    """The command of that check, as it can be run inside."""
    finished_at: datetime | None = None
    """When its process ended last; it may have been started again since."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port on which a process of a container waits for connections."""

    port: int
    is_loopback: bool
    """Whether it can be reached only from inside the container."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image on the engine. `digest` is the registry's manifest digest when it came from one."""

    id: str
    tags: tuple[str, ...]
    digest: str | None
    size_bytes: int
    created_at: datetime
    labels: Mapping[str, str]
    ports: tuple[int, ...]
    """What the image says with EXPOSE."""
    architecture: str = ""
    """As the engine writes it: `amd64`, `arm64`."""


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """Credentials for one registry host."""

    registry: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine says of itself."""

    version: str
    api_version: str
    data_root: str
    cpus: int
    memory_bytes: int
    architecture: str = ""
    """Of its machine, as `uname -m` writes it."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line a container wrote."""

    stream: Literal["stdout", "stderr"]
    text: str
    at: datetime | None


class Engine(Protocol):
    """A live engine. Every call has a deadline of its own and raises the ProviderError tree.

    Observation that fails raises ProviderUnavailable; it never answers "gone".
    """

    async def info(self) -> EngineInfo:
        """Ask the engine who it is."""
        ...

    async def inspect(self, labels: Mapping[str, str]) -> list[Container]:
        """All containers, stopped ones too, that carry these labels. An empty value matches any value."""
        ...

    def plan(self, current: Sequence[Container], desired: Sequence[ContainerSpec]) -> list[Change]:
        """Pure: what to create and start so that each desired container runs, and which of `current` to remove.

        Containers are matched by name. One that is desired and running is left alone.
        """
        ...

    async def apply(self, changes: Sequence[Change]) -> None:
        """Carry out the changes in order; safe to run twice. Networks and volumes appear as needed."""
        ...

    async def start(self, name: str) -> None:
        """Start a container where it stands. One that runs is no error; RequestRefused when it is gone."""
        ...

    async def stop(self, container_id: str, *, grace: float) -> None:
        """TERM, wait `grace` seconds, KILL. A container that is gone or stopped is no error."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove a container (killing it if it runs), keeping its volumes. One that is gone is no error."""
        ...

    async def run_once(self, spec: ContainerSpec, *, deadline: float, progress: Progress) -> int:
        """Run a container to its end and give its exit code, streaming its lines to `progress`.

        Survives the caller: started again with the same spec name it re-attaches to the running container, or
        reports the code of the finished one, and never runs the command a second time. Removing it is up to
        the caller (`remove`). On cancellation or deadline the container is killed.
        """
        ...

    def logs(
        self, container_id: str, *, tail: int | None, follow: bool, since: datetime | None = None
    ) -> AsyncIterator[LogLine]:
        """The last `tail` lines (None: all) and, if followed, what comes after, until the container ends.

        `since`: none that were written before that instant; those of the same microsecond come again.
        """
        ...

    async def pull_image(self, reference: str, login: RegistryLogin | None, progress: Progress) -> Image:
        """Fetch an image; its digest is resolved. Raises CredentialsRejected or RequestRefused (no such image)."""
        ...

    async def find_image(self, reference: str) -> Image | None:
        """The image by id, tag or digest, if the engine has it."""
        ...

    async def list_images(self, labels: Mapping[str, str]) -> list[Image]:
        """Images with these labels."""
        ...

    async def remove_image(self, reference: str) -> bool:
        """Remove an image; False when it is in use or gone."""
        ...

    async def list_volumes(self, labels: Mapping[str, str]) -> list[str]:
        """Names of the volumes with these labels."""
        ...

    async def remove_volume(self, name: str) -> None:
        """Destroy a volume and its data. Refuses one without Orca's label, or in use."""
        ...

    async def remove_network(self, name: str) -> None:
        """Remove a network of Orca's that nothing uses any more; one that is gone is no error."""
        ...


@runtime_checkable
class SupportsExec(Protocol):
    """An engine that can run a command inside a running container."""

    async def exec(self, container_id: str, argv: Sequence[str], *, deadline: float) -> CommandResult:
        """Run `argv` inside; on deadline the process is killed and DeadlineExceeded raised."""
        ...


@runtime_checkable
class SupportsVolumeOwners(Protocol):
    """An engine that knows whose the data in volumes is."""

    async def own_volume(self, spec: ContainerSpec, *, deadline: float, progress: Progress) -> bool:
        """Give all data in the one mount of `spec` to the owner which that names; False when it is so already.

        `spec` is a container for this purpose: it may be run, and is removed at the end.
        """
        ...

    async def find_unwritable(self, container_id: str) -> list[Unwritable]:
        """The volumes in which the user of a container cannot write."""
        ...


@runtime_checkable
class SupportsListeners(Protocol):
    """An engine that can see on which ports a container listens."""

    async def find_listeners(self, container_id: str) -> list[Listener] | None:
        """The TCP ports that its processes listen on, by number; None when that cannot be seen."""
        ...


@runtime_checkable
class SupportsStats(Protocol):
    """An engine that can measure a running container."""

    async def stats(self, container_id: str) -> tuple[float, int]:
        """CPU as a share of one core (1.0 = a whole core) and memory in bytes."""
        ...


@runtime_checkable
class SupportsSurvey(Protocol):
    """An engine that can look over hundreds of containers in one call."""

    async def survey(self, labels: Mapping[str, str]) -> list[Container]:
        """`inspect` for lists: of a container that has run for a minute, only identity, labels and state are sure."""
        ...


class EngineProvider(Protocol):
    """Opens engines of one kind."""

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]

    def open(self, config: BaseModel, connector: Connector) -> AbstractAsyncContextManager[Engine]:
        """Connect lazily: opening never fails because the engine is down."""
        ...
