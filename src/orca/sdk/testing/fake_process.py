"""The processes of the fakes, and the programs that they know."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from orca.errors import DeadlineExceeded
from orca.sdk.connectors import CommandResult
from orca.sdk.workloads import LogLine, Observation, ProcessSpec, Progress

KILLED: Final = 137
"""The exit code of what was killed."""
_NEVER: Final = 1e9
"""How long a process runs that does not end by itself, in seconds."""

Spec = TypeVar("Spec", bound=ProcessSpec)
Seen = TypeVar("Seen", bound=Observation)


@dataclass(slots=True)
class FakeProcess(Generic[Spec, Seen]):
    """A process in memory: what was asked for, what is seen of it, and what it wrote."""

    spec: Spec
    seen: Seen
    lines: list[LogLine] = field(default_factory=list)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _running: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.seen.state == "running":
            return
        self.seen = replace(self.seen, state="running", started_at=datetime.now(UTC), exit_code=None)
        self._ended.clear()
        lasts, code, lines = run_program(self.spec.command)
        self.lines += [LogLine("stdout", line, datetime.now(UTC)) for line in lines]
        if lasts < _NEVER:
            self._running = asyncio.get_running_loop().create_task(self._run_out(lasts, code))

    def end(self, code: int = KILLED) -> None:
        """End it, if it runs."""
        if self._running:
            self._running.cancel()
            self._running = None
        if self.seen.state == "running":
            self.seen = replace(self.seen, state="exited", exit_code=code, finished_at=datetime.now(UTC))
        self._ended.set()

    def crash(self, *, exit_code: int, out_of_memory: bool = False) -> None:
        """End it; if its restart policy says so, it restarts at once."""
        self.end(exit_code)
        self.seen = replace(self.seen, out_of_memory=out_of_memory)
        if self.spec.restart != "no":
            self.start()
            self.seen = replace(self.seen, restarts=self.seen.restarts + 1)

    async def run(self, *, deadline: float, progress: Progress) -> int:
        """Start it, or join it if it was started; return its exit code. It is killed at the deadline, and on cancel."""
        if self.seen.started_at is None:
            self.start()
        try:
            async with asyncio.timeout(deadline):
                await self._ended.wait()
        except TimeoutError:
            self.end()
            raise DeadlineExceeded(f"{self.spec.name} did not end within {deadline:g} seconds.") from None
        except asyncio.CancelledError:
            self.end()
            raise
        for line in self.lines:
            await progress(line.text)
        return self.seen.exit_code or 0

    async def logs(self, *, tail: int | None, follow: bool, since: datetime | None) -> AsyncGenerator[LogLine, None]:
        """Yield what was written; new lines are noticed within a tenth of a second."""
        position = 0 if tail is None else max(0, len(self.lines) - tail)
        while True:
            ended = self._ended.is_set()
            for line in self.lines[position:]:
                if since is None or line.at is None or line.at >= since:
                    yield line
            position = len(self.lines)
            if ended or not follow:
                return
            await asyncio.wait((asyncio.ensure_future(self._ended.wait()),), timeout=0.1)

    async def _run_out(self, lasts: float, code: int) -> None:
        await asyncio.sleep(lasts)
        self._running = None
        self.end(code)


async def run_inside(argv: Sequence[str], *, deadline: float) -> CommandResult:
    """Run one of the programs beside a process. Raises DeadlineExceeded."""
    lasts, code, lines = run_program(tuple(argv))
    if lasts > deadline:
        await asyncio.sleep(deadline)
        raise DeadlineExceeded(f"{argv[0]} did not finish within {deadline:g} seconds.")
    await asyncio.sleep(lasts)
    return CommandResult(code, "".join(f"{line}\n" for line in lines).encode(), b"")


def run_program(command: tuple[str, ...]) -> tuple[float, int, list[str]]:
    """Return how long a command runs in seconds, its exit code, and the lines that it writes at once."""
    match command:
        case ("true",):
            return 0, 0, []
        case ("false",):
            return 0, 1, []
        case ("echo", *words):
            return 0, 0, " ".join(words).splitlines()
        case ("sleep", seconds):
            return float(seconds), 0, []
    return _NEVER, 0, []
