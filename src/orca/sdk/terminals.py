"""Terminals are interactive processes inside containers: input, output and size go both ways while they run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class TerminalSize:
    """The size of a terminal, in characters."""

    columns: int = 80
    rows: int = 24


@dataclass(frozen=True, slots=True)
class TerminalRequest:
    """What to run inside a container."""

    argv: Sequence[str]
    size: TerminalSize | None = None
    """Run it on a pseudo-terminal of this size, on which stdout and stderr are one; None: on plain pipes."""


class Terminal(Protocol):
    """An attached process. One caller reads while another one writes; each call raises ProviderError."""

    async def read(self) -> tuple[Stream, bytes] | None:
        """Return the next output, at most 64 KiB; None when there will be no more."""
        ...

    async def write(self, data: bytes) -> None:
        """Write input; returns once it was taken, so that a process which does not read slows its writer down."""
        ...

    async def close_input(self) -> None:
        """End the input. Has no effect on a pseudo-terminal, where a person ends it by Ctrl-D."""
        ...

    async def resize(self, size: TerminalSize) -> None:
        """Change the size of the pseudo-terminal. No error if the process has ended."""
        ...

    async def wait(self) -> int:
        """Return the exit code, after `read` has returned None."""
        ...
