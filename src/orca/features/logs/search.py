"""Finds lines in a store: a page of them in either direction, and how many there are. Blocks; runs in threads."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final

from orca.features.logs.frames import Block
from orca.features.logs.rules import EVERYTHING, Filter, StoredLine
from orca.features.logs.store import Chunk, LogStore, read_chunks

MOST_COUNTED: Final = 100_000
"""Counting stops there: more matches are no longer read by anyone."""
_TOGETHER = 8
"""Chunks that a thread works on at a time."""
_AHEAD = 2
"""So many times that is being read before it is needed: two threads do it, as unpacking lets others run."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page: the newest lines, or those before or after a number, or around it."""

    filter: Filter = EVERYTHING
    limit: int = 200
    before: int | None = None
    after: int | None = None
    context: int = 0
    counts: bool = False
    seconds: float = 20.0
    """After so long, what was found is returned; a chunk is always searched."""


@dataclass(frozen=True, slots=True)
class FoundLines:
    """Lines in the order of the timeline."""

    lines: list[StoredLine]
    resume: int | None = None
    """`before` or `after` of the page that follows; None when everything in the direction of the search was seen.

    A search that takes too long has a page that is not full, or empty, and goes on there.
    """
    total: int | None = None
    """How many lines match in all; None where that was not asked for."""
    is_total_exact: bool = True
    """False where counting stopped before the end."""


class SearchStopped(Exception):
    """The search was given up."""


def find(store: LogStore, wanted: Wanted, stop: threading.Event) -> FoundLines:
    """Return a page of matches. Raises SearchStopped when `stop` is set, because the client has left."""
    is_forward = wanted.after is not None
    chunks = (
        store.chunks_from(0 if wanted.after is None else wanted.after + 1)
        if is_forward
        else store.chunks(backwards=True)
    )
    walk = _Walk(wanted, is_forward=is_forward)
    with ThreadPoolExecutor(2, "logs") as pool:
        for chunk, block, matches in _select(pool, walk.list_chunks(chunks), wanted.filter):
            if stop.is_set():
                raise SearchStopped
            if not walk.take(chunk, block, matches):
                break
    lines, resume = walk.lines[: wanted.limit], walk.left_at
    if len(walk.lines) > wanted.limit:
        resume = lines[-1].number if lines else resume
    if not is_forward:
        lines.reverse()
    if wanted.context:
        lines = _add_context(store, lines, wanted.context)
    return FoundLines(lines, resume, walk.total if wanted.counts else None, walk.is_exact)


class _Walk:
    """Collects a page, then only counts."""

    def __init__(self, wanted: Wanted, *, is_forward: bool) -> None:
        self._wanted = wanted
        self._is_forward = is_forward
        self._until = time.monotonic() + wanted.seconds
        self.lines: list[StoredLine] = []
        self.total = 0
        self.is_exact = True
        self.left_at: int | None = None
        """The outermost line that was looked at when the time was over."""

    @property
    def _is_full(self) -> bool:
        return len(self.lines) > self._wanted.limit

    def list_chunks(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yield the chunks that must be unpacked; of the others the lines are only counted."""
        for chunk in chunks:
            header, before = chunk.header, self._wanted.before
            if not header.may_have(self._wanted.filter):
                continue
            if before is not None and header.first >= before:
                continue
            known = header.count_matches(self._wanted.filter) if self._is_full and self._wanted.counts else None
            if known is not None:
                self.total += known
                continue
            yield chunk

    def take(self, chunk: Chunk, block: Block | None, matches: list[int]) -> bool:
        """Take the matches of a chunk; return whether to go on."""
        before, after = self._wanted.before, self._wanted.after
        if before is not None or after is not None:
            least, most = -1 if after is None else after, 1 << 62 if before is None else before
            matches = [index for index in matches if least < chunk.header.first + index < most]
        self.total += len(matches)
        room = self._wanted.limit + 1 - len(self.lines)
        if block is not None and room > 0:
            chosen = matches[:room] if self._is_forward else matches[::-1][:room]
            self.lines += [block.line(index) for index in chosen]
        is_late = time.monotonic() > self._until
        if is_late:
            header = chunk.header
            self.left_at = header.first + header.count - 1 if self._is_forward else header.first
        if is_late or self.total >= MOST_COUNTED:
            self.is_exact = False
            return False
        return self._wanted.counts or not self._is_full


def _select(
    pool: ThreadPoolExecutor, chunks: Iterator[Chunk], wanted: Filter
) -> Iterator[tuple[Chunk, Block | None, list[int]]]:
    waiting: deque[Future[list[tuple[Chunk, Block | None, list[int]]]]] = deque()
    size = 1  # often the first one is enough
    try:
        while some := list(islice(chunks, size)):
            waiting.append(pool.submit(read_chunks, some, wanted))
            size = min(size * 2, _TOGETHER)
            if len(waiting) > _AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for found in waiting:
            found.cancel()


def _add_context(store: LogStore, lines: list[StoredLine], context: int) -> list[StoredLine]:
    """Add the lines around each match."""
    matches = {line.number: line for line in lines}
    if not matches:
        return lines
    numbers = {number + step for number in matches for step in range(-context, context + 1) if number + step >= 0}
    found, last = [], max(numbers)
    for chunk in store.chunks_from(min(numbers)):
        header = chunk.header
        if header.first > last:
            break
        here = sorted(numbers.intersection(range(header.first, header.first + header.count)))
        block = chunk.read()[0] if here else None
        if block is not None:
            found += [block.line(number - header.first, is_match=number in matches) for number in here]
    return found


def read_around(store: LogStore, number: int, limit: int, wanted: Filter, stop: threading.Event) -> FoundLines:
    """Return lines around a number, in order: half of them before it. It is resumed towards older lines."""
    half = max(1, limit // 2)
    older = find(store, Wanted(wanted, half, before=number), stop)
    newer = find(store, Wanted(wanted, half, after=number - 1), stop)
    return FoundLines([*older.lines, *newer.lines], older.resume)
