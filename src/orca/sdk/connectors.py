"""The interface by which providers run commands on a system: argument lists in, bytes out, never a shell string."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

OutputSink = Callable[[Literal["stdout", "stderr"], bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run: `argv` is never joined to a string; secrets are passed in `stdin` or `env`."""

    argv: tuple[str, ...]
    deadline: float
    """Seconds after which the whole process group is killed and DeadlineExceeded is raised."""
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    """The complete environment besides PATH, HOME and LANG; nothing is inherited from Orca's process."""
    cwd: str | None = None
    output_limit: int = 1 << 20
    """Maximum bytes of stdout and of stderr in the result (the tail of each); a sink still gets everything."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and output of a finished process."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output, decoded leniently and stripped."""
        return self.stdout.decode(errors="replace").strip()


class Connector(Protocol):
    """An open connection to one system."""

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        """Run a command to its end. A non-zero exit code is a result, not an error.

        Cancelling the awaiting task kills the process group (TERM, then KILL after two seconds) before
        the cancellation is raised. Raises ProviderUnavailable (no such program, system unreachable) and
        DeadlineExceeded.
        """
        ...


class ConnectorProvider(Protocol):
    """Opens connectors of one kind."""

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]

    def open(self, config: BaseModel) -> AbstractAsyncContextManager[Connector]:
        """Connect; the context closes what it opened."""
        ...


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """The size of a file system, and how much of it is free, in bytes."""

    total: int
    free: int


@runtime_checkable
class SupportsConnections(Protocol):
    """A connector that opens TCP connections from its system: addresses of containers are known only there."""

    async def open_connection(
        self, host: str, port: int, *, limit: int = 1 << 16
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, without a deadline of its own. `limit`: bytes that the reader buffers.

        Raises OSError when the address refuses or cannot be reached, ProviderUnavailable when the system cannot.
        """
        ...


@runtime_checkable
class SupportsDiskUsage(Protocol):
    """A connector that measures the disks of its system."""

    async def measure_disk(self, path: str) -> DiskUsage | None:
        """Measure the file system that a path is on; None where there is no such path."""
        ...


@runtime_checkable
class SupportsAddresses(Protocol):
    """A connector that knows the addresses of its system."""

    async def list_addresses(self) -> list[str]:
        """Return the IP addresses of its interfaces, without zones."""
        ...


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """A TCP or UDP socket of a system, bound to an address of it."""

    protocol: Literal["tcp", "udp"]
    address: str
    """An IP address without a zone."""
    port: int
    is_listening: bool
    """Whether it takes connections, or packets, from any peer."""
    is_connected: bool
    """Whether it is an established TCP connection."""
    pid: int | None
    """The process that has it, on the system; None when that may not be known."""
    process: str = ""
    """The name of that process."""


@runtime_checkable
class SupportsSockets(Protocol):
    """A connector that lists the sockets of its system."""

    async def list_sockets(self, pid: int | None = None) -> list[OpenSocket] | None:
        """Return the TCP and UDP sockets of all processes, or of one; none for a process that has ended.

        None where they may not be seen. Raises ProviderUnavailable.
        """
        ...


@runtime_checkable
class SupportsLocalFiles(Protocol):
    """A connector to the machine that this process runs on: its files and process ids are those that a caller sees."""

    def local_path(self, path: str) -> Path:
        """Return the path by which this process reaches a file of the system."""
        ...
