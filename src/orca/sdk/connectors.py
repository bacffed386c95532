"""How a provider reaches a system: argument lists in, bytes out, never a shell string."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from pydantic import BaseModel

OutputSink = Callable[[Literal["stdout", "stderr"], bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run: `argv` is never joined; secrets travel in `stdin` or `env`."""

    argv: tuple[str, ...]
    deadline: float
    """Seconds after which the whole process group is killed and DeadlineExceeded is raised."""
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    """The complete environment besides PATH, HOME and LANG; nothing of Orca's own is inherited."""
    cwd: str | None = None
    output_limit: int = 1 << 20
    """Bytes of stdout and of stderr kept in the result (the tail is kept); a sink still gets everything."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a finished process left behind."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output, decoded leniently and stripped."""
        return self.stdout.decode(errors="replace").strip()


class Connector(Protocol):
    """A live way into one system."""

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        """Run to the end. A non-zero exit is a result, not an error.

        Cancelling the awaiting task kills the process group (TERM, then KILL after two seconds) before
        the cancellation goes on. Raises ProviderUnavailable (no such program, system out of reach) and
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
