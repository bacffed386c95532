"""One service's timeline while it is collected: lines of many replicas, written in batches."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from orca.features.logs.rules import Line
from orca.features.logs.store import LogStore
from orca.kit.threads import run_in_thread

log = structlog.get_logger("orca.logs")
GATHER_SECONDS = 0.05
"""Lines that come together are written together, and in the order of their times."""
RETRY_SECONDS = 5.0
_MOST_LINES, _MOST_CHARACTERS = 4000, 1 << 20
"""What waits to be written at most; then the replicas are read more slowly."""


class Timeline:
    """The only writer of a store in this process."""

    def __init__(self, store: LogStore) -> None:
        self.store = store
        self.positions = dict(store.positions)
        """How far each writer was read, with what is not written yet."""
        self.problem = ""
        """Why lines cannot be written at the moment."""
        self._pending: list[Line] = []
        self._characters = 0
        self._read: dict[str, tuple[int, int]] = {}
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._turn = asyncio.Lock()
        self._readers: set[asyncio.Event] = set()
        self._writing = asyncio.create_task(self._write_always())

    async def put(self, line: Line, position: tuple[int, int]) -> None:
        """Take a line; waits while too much is waiting."""
        self._pending.append(line)
        self._characters += len(line.text)
        self.positions[line.writer.id] = self._read[line.writer.id] = position
        self._news.set()
        if len(self._pending) >= _MOST_LINES or self._characters >= _MOST_CHARACTERS:
            self._room.clear()
            await self._room.wait()

    @contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """Return an event that is set when there are new lines."""
        bell = asyncio.Event()
        self._readers.add(bell)
        try:
            yield bell
        finally:
            self._readers.discard(bell)

    async def write(self) -> None:
        """Write what waits to the store's draft. Raises OSError, and then has not lost it."""
        async with self._turn:
            lines, read = self._pending, self._read
            self._pending, self._read, self._characters = [], {}, 0
            lines.sort(key=lambda line: line.at)
            try:
                if lines:
                    await run_in_thread(self.store.append, lines, read)
            finally:
                for bell in self._readers:
                    bell.set()

    async def flush(self, *, sync: bool = False) -> None:
        """Write everything to disk. Raises OSError."""
        await self.write()
        async with self._turn:
            await run_in_thread(self.store.flush, sync=sync)

    async def close(self) -> None:
        """Stop writing; what can be written is on disk then, and the rest is read again later."""
        self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)
        try:
            await self.flush()
        except OSError as error:
            log.warning("logs_not_written", folder=self.store.folder.name, reason=str(error))

    async def _write_always(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self.write()
            except OSError as error:
                await self._retry(error)
            self._room.set()

    async def _retry(self, error: OSError) -> None:
        """Try until the disk takes the draft; until then no more is taken, so that memory stays bounded."""
        log.warning("logs_not_written", folder=self.store.folder.name, reason=str(error))
        while True:
            self.problem = f"Lines cannot be written to disk: {error.strerror}."
            await asyncio.sleep(RETRY_SECONDS)
            try:
                async with self._turn:
                    await run_in_thread(self.store.flush)
            except OSError as again:
                error = again
            else:
                self.problem = ""
                return
