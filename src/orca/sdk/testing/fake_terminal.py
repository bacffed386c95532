"""The interactive processes of the fakes: `cat` repeats its input, `sh` also ends at `exit N`; see `fake_process`."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orca.sdk.terminals import Stream, Terminal, TerminalRequest, TerminalSize
from orca.sdk.testing.fake_process import KILLED, run_program

_INTERACTIVE = {"cat", "sh"}


class FakeTerminal:
    """One process in memory."""

    def __init__(self, request: TerminalRequest) -> None:
        self.request = request
        self.size = request.size
        self._output: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._exit_code = 0
        if request.argv[0] in _INTERACTIVE:
            return
        lasts, self._exit_code, lines = run_program(tuple(request.argv))
        for line in lines:
            self._output.put_nowait(line.encode() + b"\n")
        if lasts == 0:
            self._output.put_nowait(None)

    async def read(self) -> tuple[Stream, bytes] | None:
        """Return what was written."""
        data = await self._output.get()
        return None if data is None else ("stdout", data)

    async def write(self, data: bytes) -> None:
        """Repeat it; `sh` ends at `exit N`."""
        self._output.put_nowait(data)
        if self.request.argv[0] == "sh" and data.startswith(b"exit "):
            self.end(int(data.split()[1]))

    async def close_input(self) -> None:
        """End it, as its input has."""
        if self.request.size is None and self.request.argv[0] in _INTERACTIVE:
            self.end(0)

    async def resize(self, size: TerminalSize) -> None:
        """Store the size."""
        self.size = size

    async def wait(self) -> int:
        """Return the exit code."""
        return self._exit_code

    def end(self, exit_code: int = KILLED) -> None:
        """End the output."""
        self._exit_code = exit_code
        self._output.put_nowait(None)


class FakeTerminals:
    """The terminals of one fake; `open` has those whose process runs, by id."""

    def __init__(self) -> None:
        self.open: dict[str, FakeTerminal] = {}
        self._numbers = itertools.count(1)

    def prepare(self) -> str:
        """Return an id."""
        return f"terminal-{next(self._numbers)}"

    @asynccontextmanager
    async def run(self, terminal_id: str, request: TerminalRequest) -> AsyncIterator[Terminal]:
        """Run a program until the context is left."""
        self.open[terminal_id] = FakeTerminal(request)
        try:
            yield self.open[terminal_id]
        finally:
            del self.open[terminal_id]
