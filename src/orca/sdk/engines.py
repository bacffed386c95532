"""Engines run workloads. Orca says which workload should run; an engine plans and applies the difference.

One contract for engines of one machine and of clusters. A release is a workload of its own: the new one runs beside the
old one until traffic has moved. An engine may replace lost replicas by itself, but not what `stop` and `remove` ended.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel

from orca.errors import ProviderUnavailable
from orca.sdk.connectors import CommandResult, Connector
from orca.sdk.plans import Change
from orca.sdk.terminals import Terminal, TerminalRequest
from orca.sdk.workloads import Listener, LogLine, Progress, Replica, Unwritable, VolumeOwner, Workload

if TYPE_CHECKING:
    from orca.sdk.containers import ContainerHost


class EngineUnreachable(ProviderUnavailable):
    """The engine itself does not answer; it may be restarting. The operation may have been carried out or not."""


class EngineFailed(ProviderUnavailable):
    """The engine answered with an internal error: something behind it may be restarting."""


class Engine(Protocol):
    """A connected engine. Every call has its own deadline and raises ProviderError or a subclass.

    A failed observation raises ProviderUnavailable; it is never reported as "gone".
    """

    async def check(self) -> None:
        """Raise ProviderUnavailable unless the engine answers and can run something."""
        ...

    async def observe(self, labels: Mapping[str, str], *, runs: bool = False) -> list[Replica]:
        """Return all replicas, also stopped ones, of the workloads with these labels. An empty value matches any value.

        `runs`: also what `run_once` started and was not removed yet.
        """
        ...

    async def survey(self, labels: Mapping[str, str], *, runs: bool = False) -> list[Replica]:
        """Like `observe`, for hundreds of replicas: of one that has run for a minute, only identity, labels and state
        are reliable.
        """
        ...

    def plan(self, current: Sequence[Replica], desired: Workload) -> list[Change]:
        """Return what to do so that each replica of `desired` runs, and which of `current` to remove. Pure.

        A replica that runs is left alone. Those that were not passed in as `current` and should not run stay until
        the caller removes them: they may still serve.
        """
        ...

    async def apply(self, changes: Sequence[Change]) -> None:
        """Apply the changes in order; safe to run twice. Networks and volumes are created as needed.

        Raises RequestRefused when a replica can never be started like this.
        """
        ...

    async def start(self, replica: Replica) -> None:
        """Start a replica that was stopped. No error if it runs. Raises RequestRefused when it is gone."""
        ...

    async def stop(self, replica: Replica, *, grace: float | None = None) -> None:
        """Send TERM, wait for the workload's own `stop_grace` or `grace` seconds, then send KILL.

        It can be started again. No error if it is gone or stopped.
        """
        ...

    async def remove(self, replica: Replica) -> None:
        """Remove a replica for good (killing it if it runs), but not its volumes. No error if it is gone."""
        ...

    async def run_once(self, workload: Workload, *, deadline: float, progress: Progress) -> int:
        """Run one copy of a workload to its end and return its exit code, streaming its lines to `progress`.

        The run survives the caller: a second call with the same name attaches to it, or returns the code of the
        finished one, and never runs the command again. The caller has to `remove` it. On cancellation or deadline it
        is killed.
        """
        ...

    def logs(
        self, replica: Replica, *, tail: int | None, follow: bool, since: datetime | None = None
    ) -> AsyncIterator[LogLine]:
        """Yield the last `tail` lines (None: all) and, with `follow`, new ones until the replica ends.

        `since`: omit lines from before that instant; those of the same microsecond are included.
        """
        ...

    async def remove_network(self, name: str) -> None:
        """Remove a private network that no workload belongs to. No error if it is gone; RequestRefused if in use."""
        ...


@runtime_checkable
class SupportsExec(Protocol):
    """An engine that can run a command inside a running replica."""

    async def exec(self, replica: Replica, argv: Sequence[str], *, deadline: float) -> CommandResult:
        """Run `argv` inside; on deadline the process is killed and DeadlineExceeded raised."""
        ...


@runtime_checkable
class SupportsTerminals(Protocol):
    """An engine that can run interactive processes inside running replicas."""

    async def prepare_terminal(self, replica: Replica, request: TerminalRequest) -> str:
        """Return the id of a new terminal, whose process is not started yet."""
        ...

    def open_terminal(
        self, replica: Replica, terminal_id: str, request: TerminalRequest
    ) -> AbstractAsyncContextManager[Terminal]:
        """Start the process; at the end of the context it is killed, with all processes of its session."""
        ...

    async def end_terminal(self, replica_id: str, terminal_id: str) -> bool:
        """Kill what a terminal left running, of a caller that died; True when all of it is certainly gone."""
        ...


@runtime_checkable
class SupportsListeners(Protocol):
    """An engine that can see on which ports a replica listens."""

    async def find_listeners(self, replica: Replica) -> list[Listener] | None:
        """Return the TCP ports that its processes listen on, by number; None when that cannot be observed."""
        ...


@runtime_checkable
class SupportsVolumeOwners(Protocol):
    """An engine that can read and change the owners of data in volumes.

    A `workload` here is one for this purpose, with the volume as its one mount: it may be run, and is removed at the
    end.
    """

    async def find_owner(self, workload: Workload) -> VolumeOwner | None:
        """Return the owner of the volume; None if the path is not a folder."""
        ...

    async def own_volume(
        self, workload: Workload, *, before: Callable[[], Awaitable[None]], deadline: float, progress: Progress
    ) -> bool:
        """Change the owner of all data in the volume to the mount's owner; False if it was right already.

        `before` is awaited right before the owner of anything in it changes.
        """
        ...

    async def restore_owner(
        self, workload: Workload, owner: VolumeOwner, *, deadline: float, progress: Progress
    ) -> None:
        """Restore the former owner of the volume. Safe to repeat."""
        ...

    async def find_unwritable(self, replica: Replica) -> list[Unwritable]:
        """Return the volumes in which the user of a replica's process cannot write."""
        ...


class EngineProvider(Protocol):
    """Opens engines of one kind."""

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]

    def open(
        self, config: BaseModel, connector: Connector, host: "ContainerHost | None"
    ) -> AbstractAsyncContextManager[Engine]:
        """Connect lazily: opening never fails because the engine is down.

        `host`: the provider of the same name in the family `containers`, opened; None where there is none. An engine
        that stands on a host of another name has that as the class attribute `container_host`.
        """
        ...
