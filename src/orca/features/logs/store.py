"""The lines of one service on disk: segment files of chunks, appended to by one writer, read by anyone. Blocks.

A line that is not written yet is in the engine's log as well, and the positions in the last chunk say from where that
is to be read again: so chunks are not synced one by one, and a torn one is cut off when the folder is opened.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from orca.features.logs.frames import MAGIC, MOST_BODY, MOST_HEADER, PREFIX, Block, Header, pack, parse_header, unpack
from orca.features.logs.rules import EVERYTHING, Filter, Line
from orca.kit.files import sync_folder

CHUNK_BYTES = 256 << 10
SEGMENT_BYTES = 4 << 20
_MOST_POSITIONS = 200
_INDEXED = 16
"""Segments whose headers stay in memory, for readers that come back."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk and where it is; `block` where it is in memory only."""

    header: Header
    path: Path
    offset: int = 0
    length: int = 0
    checksum: int = 0
    block: Block | None = None

    def read(self, wanted: Filter = EVERYTHING, file: BinaryIO | None = None) -> tuple[Block | None, list[int]]:
        """Return its lines, and which of them match; no lines when none does, or it cannot be read."""
        if self.block is not None:
            return self.block, self.block.select(wanted)
        try:
            with nullcontext(file) if file else self.path.open("rb") as opened:
                opened.seek(self.offset)
                data = opened.read(self.length)
            if len(data) != self.length or crc32(memoryview(data)[PREFIX.size :]) != self.checksum:
                return None, []
            return unpack(self.header, data[PREFIX.size + PREFIX.unpack_from(data)[1] :], wanted)
        except (OSError, ValueError):
            return None, []


def read_chunks(chunks: Sequence[Chunk], wanted: Filter) -> list[tuple[Chunk, Block | None, list[int]]]:
    """Return the lines of chunks, and which of them match. A file of several of them is opened once."""
    found = []
    for path, here in groupby(chunks, lambda chunk: None if chunk.block else chunk.path):
        with suppress(OSError), path.open("rb") if path else nullcontext() as file:
            found += [(chunk, *chunk.read(wanted, file)) for chunk in here]
    return found


@dataclass(slots=True)
class _Segment:
    path: Path
    first: int
    size: int


class LogStore:
    """One service's folder. Reading is safe from any thread, also while its one writer appends."""

    def __init__(self, folder: Path, *, writes: bool = False, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._writes = writes
        self._lock = threading.RLock()
        self._index: dict[Path, tuple[int, list[Chunk]]] = {}
        self._segments = [_Segment(path, int(path.stem), path.stat().st_size) for path in sorted(folder.glob("*.log"))]
        self._draft = Block(0)
        self.positions: dict[str, tuple[int, int]] = {}
        self.written_at = time.monotonic()
        """When a chunk was last written, or the draft was last empty."""
        self._resume()

    @property
    def next_number(self) -> int:
        """The number of the next line."""
        return self._draft.first + len(self._draft.at)

    @property
    def first_number(self) -> int:
        """The number of the first line that is still there."""
        with self._lock:
            return self._segments[0].first if self._segments else self._draft.first

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def draft_size(self) -> int:
        """Bytes that are not written yet."""
        return self._draft.size if self._draft.at else 0

    def append(self, lines: Sequence[Line], positions: dict[str, tuple[int, int]]) -> None:
        """Add lines, and how far their writers were read by them."""
        with self._lock:
            self._draft.add(lines)
            self.positions.update(positions)
            if self._draft.size >= CHUNK_BYTES:
                self.flush()

    def flush(self, *, sync: bool = False) -> None:
        """Write what is in memory only. Raises OSError, and then has not lost it."""
        with self._lock:
            if self._draft.at:
                self._write(pack(self._draft, self._kept_positions()))
                self._draft = Block(self.next_number)
            self.written_at = time.monotonic()
            if sync and self._segments:
                _sync(self._segments[-1].path)

    def prune(self, *, most_bytes: int, oldest: float) -> bool:
        """Delete the oldest segments beyond the budget, and those not written to since `oldest`; return if any was.

        Files that could not be read are kept aside until they are as old.
        """
        with self._lock:
            for unread in self.folder.glob("*.bad"):
                if _find_time(unread) < oldest:
                    unread.unlink(missing_ok=True)
            if not self._segments:
                return False
            gone, left = 0, self.size
            for segment in self._segments:
                if left <= most_bytes and _find_time(segment.path) >= oldest:
                    break
                left -= segment.size
                gone += 1
            if gone == len(self._segments) and self._segments[-1].first == self.next_number:
                gone -= 1  # it has no lines, only positions
            if gone and gone == len(self._segments):  # the positions must survive: what was read is not read again
                self.flush()
                self._roll()
                self._write(pack(self._draft, self._kept_positions()))
            for segment in self._segments[:gone]:
                segment.path.unlink(missing_ok=True)
                self._index.pop(segment.path, None)
            del self._segments[:gone]
            return gone > 0

    def chunks(self, *, backwards: bool = False) -> Iterator[Chunk]:
        """Yield all chunks in order, the draft as the last one. Those of a segment are read when they are reached."""
        with self._lock:
            segments = [replace(segment) for segment in self._segments]
            draft = self._draft.copy() if self._draft.at else None
        last = [] if draft is None else [Chunk(draft.describe({}), self.folder, block=draft)]
        if backwards:
            yield from last
        for segment in reversed(segments) if backwards else segments:
            found = self._scan(segment)
            yield from reversed(found) if backwards else found
        if not backwards:
            yield from last

    def chunks_from(self, number: int) -> Iterator[Chunk]:
        """Yield the chunks that have lines from a number on, in order."""
        with self._lock:
            segments = [replace(segment) for segment in self._segments]
            draft = self._draft.copy() if self._draft.at else None
        follows = [segment.first for segment in segments[1:]]
        for segment, following in zip(segments, [*follows, None], strict=False):
            if following is None or following > number:
                yield from (found for found in self._scan(segment) if found.header.first + found.header.count > number)
        if draft is not None:
            yield Chunk(draft.describe({}), self.folder, block=draft)

    def _scan(self, segment: _Segment) -> list[Chunk]:
        """Return the chunks of a segment up to its size; what an earlier call has read is not read again."""
        with self._lock:
            size, known = self._index.get(segment.path, (0, []))
        if size < segment.size:
            with suppress(OSError), segment.path.open("rb") as file:
                known = [*known, *_read_headers(file, segment.path, size, segment.size)]
            with self._lock:
                self._index.pop(segment.path, None)
                self._index[segment.path] = (segment.size, known)
                while len(self._index) > _INDEXED:
                    del self._index[next(iter(self._index))]
        return known

    def _resume(self) -> None:
        """Find the end of what was written, and cut off what a crash left of a chunk."""
        while self._segments:
            segment = self._segments[-1]
            chunks = self._scan(segment)
            if chunks and chunks[-1].read()[0] is None:
                chunks.pop()
            end = chunks[-1].offset + chunks[-1].length if chunks else 0
            if end < segment.size:
                segment.size = end
                self._index[segment.path] = (end, chunks)
                if self._writes and chunks:  # else the writer, in another process, may be at work on it
                    os.truncate(segment.path, end)
            if chunks:
                header = chunks[-1].header
                self._draft, self.positions = Block(header.first + header.count), dict(header.positions)
                return
            if self._writes:  # a torn first chunk, or what a newer version wrote
                segment.path.replace(segment.path.with_suffix(".bad"))
            del self._segments[-1]

    def _write(self, data: bytes) -> None:
        if not self._segments or self._segments[-1].size + len(data) > self._segment_bytes:
            self._roll()
        segment = self._segments[-1]
        try:
            with open(segment.path, "ab", buffering=0, opener=_open_private) as file:
                try:
                    view = memoryview(data)
                    while view:
                        view = view[file.write(view) or 0 :]
                except OSError:
                    file.truncate(segment.size)
                    raise
        except OSError:
            if not segment.size:
                self._segments.pop()
                segment.path.unlink(missing_ok=True)
            raise
        segment.size += len(data)

    def _roll(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._segments.append(_Segment(self.folder / f"{self._draft.first:016d}.log", self._draft.first, 0))

    def _kept_positions(self) -> dict[str, tuple[int, int]]:
        """Return the positions of the writers that were read last."""
        newest = sorted(self.positions.items(), key=lambda item: item[1])[-_MOST_POSITIONS:]
        self.positions = dict(newest)
        return self.positions


def _read_headers(file: BinaryIO, path: Path, offset: int, end: int) -> Iterator[Chunk]:
    """Yield the chunks between two places of a file, up to the first that is none."""
    while offset + PREFIX.size <= end:
        file.seek(offset)
        magic, header_size, body_size, checksum = PREFIX.unpack(file.read(PREFIX.size))
        length = PREFIX.size + header_size + body_size
        if magic != MAGIC or header_size > MOST_HEADER or body_size > MOST_BODY or offset + length > end:
            return
        try:
            header = parse_header(file.read(header_size))
        except (ValueError, TypeError):
            return
        yield Chunk(header, path, offset, length, checksum)
        offset += length


def _find_time(path: Path) -> float:
    """Return when a segment was last written; that of one that is missing is long ago."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
