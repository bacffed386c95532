"""How lines lie on disk: chunks of some 256 KiB, each compressed, checksummed and described by a header. Pure.

A chunk is `prefix header body`. The body is the texts, joined by newlines, before columns of numbers: a search runs
over all texts in one pass, and reads the columns only where it found something.
"""

import json
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import sub
from typing import AnyStr
from zlib import crc32

from orca.features.logs.rules import (
    EVERYTHING,
    LEVELS,
    STREAMS,
    Filter,
    Line,
    StoredLine,
    Writer,
    find_levels,
    strip_colours,
)

MAGIC = b"OLG2"
PREFIX = struct.Struct("<4sIII")
"""Magic, length of the header, length of the body, checksum of both."""
MOST_HEADER, MOST_BODY = 1 << 20, 1 << 26
"""Lengths above these are no chunk's."""
_COMPRESSION = 1
_ROOM = 40
"""Bytes a line takes in memory beside its text."""
_ROW = 15
"""Bytes of a line's numbers in a body: time, length, flags, writer."""
Positions = Mapping[str, tuple[int, int]]
"""Writer -> the microsecond of the last line that was read of it, and how many lines of that microsecond were."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a chunk without unpacking it."""

    first: int
    """The number of its first line in the timeline."""
    count: int
    start: int
    end: int
    """The earliest and the latest time in it."""
    levels: Sequence[int]
    """How many lines there are of each level."""
    writers: tuple[Writer, ...]
    positions: Positions

    def may_have(self, wanted: Filter) -> bool:
        """Whether a line in it can match."""
        if not self.count or (wanted.since is not None and self.end < wanted.since):
            return False
        if wanted.until is not None and self.start >= wanted.until:
            return False
        if wanted.levels and not any(self.levels[level] for level in wanted.levels):
            return False
        return any(
            wanted.replica in {None, writer.replica} and wanted.release in {None, writer.release}
            for writer in self.writers
        )

    def count_matches(self, wanted: Filter) -> int | None:
        """Return how many lines match; None where that is known only when they are looked at."""
        if wanted.is_by_line or (wanted.since is not None and self.start < wanted.since):
            return None
        if wanted.until is not None and self.end >= wanted.until:
            return None
        return sum(self.levels[level] for level in wanted.levels) if wanted.levels else self.count


class Block:
    """The lines of one chunk: being collected, or unpacked again."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.at = array("q")
        self.ends = array("I")
        """Where the text of each line ends; one byte further the next one begins."""
        self.flags = array("B")
        """A bit for stderr, and the level above it."""
        self.by = array("H")
        self.writers: list[Writer] = []
        self.text: bytes | bytearray = bytearray()

    @property
    def size(self) -> int:
        """Roughly what it takes in memory."""
        return len(self.text) + _ROOM * len(self.at)

    def add(self, lines: Sequence[Line]) -> None:
        """Append lines."""
        if not lines:
            return
        encoded = [line.text.encode(errors="replace") for line in lines]
        text = b"\n".join(encoded)
        if text.count(b"\n") >= len(encoded):  # what ends a line is not in it
            encoded = [line.replace(b"\n", b" ") for line in encoded]
            text = b"\n".join(encoded)
        ends = [end - 1 for end in accumulate(len(line) + 1 for line in encoded)]
        if self.at:
            self.text += b"\n"
        begin = len(self.text)
        self.text += text
        self.at.extend([line.at for line in lines])
        self.ends.extend([begin + end for end in ends])
        self.flags.extend(
            [line.is_error | level << 1 for line, level in zip(lines, find_levels(text, ends), strict=True)]
        )
        self._add_writers(lines)

    def _add_writers(self, lines: Sequence[Line]) -> None:
        known = {writer: number for number, writer in enumerate(self.writers)}
        last, number = None, 0
        for line in lines:
            if line.writer is not last:
                last = line.writer
                number = known.setdefault(last, len(known))
                if number == len(self.writers):
                    self.writers.append(last)
            self.by.append(number)

    def copy(self) -> "Block":
        """Return the lines as they are now."""
        copied = Block(self.first)
        copied.at, copied.ends, copied.flags, copied.by = self.at[:], self.ends[:], self.flags[:], self.by[:]
        copied.writers, copied.text = self.writers[:], bytes(self.text)
        return copied

    def describe(self, positions: Positions) -> Header:
        """Return its header."""
        flags = bytes(self.flags)
        levels = [flags.count(level << 1) + flags.count(level << 1 | 1) for level in range(len(LEVELS))]
        start, end = (min(self.at), max(self.at)) if self.at else (0, 0)
        return Header(self.first, len(self.at), start, end, levels, tuple(self.writers), dict(positions))

    def line(self, index: int, *, is_match: bool = True) -> StoredLine:
        """Return one line."""
        begin = self.ends[index - 1] + 1 if index else 0
        flag = self.flags[index]
        text = bytes(self.text[begin : self.ends[index]]).decode(errors="replace")
        return StoredLine(
            self.first + index, self.at[index], self.writers[self.by[index]], bool(flag & 1), flag >> 1, text, is_match
        )

    def select(self, wanted: Filter) -> list[int]:
        """Return the indexes of the lines that match."""
        return self.narrow(find_lines(bytes(self.text), wanted.text) if wanted.text else range(len(self.at)), wanted)

    def narrow(self, found: Iterable[int], wanted: Filter) -> list[int]:
        """Return those of the lines, which have the wanted text, that are also wanted otherwise."""
        if wanted.since is not None or wanted.until is not None:
            since = wanted.since if wanted.since is not None else -(1 << 62)
            until = wanted.until if wanted.until is not None else 1 << 62
            found = [index for index in found if since <= self.at[index] < until]
        if wanted.levels or wanted.stream:
            allowed = {
                is_error | level << 1
                for is_error in (0, 1)
                for level in range(8)
                if wanted.stream in {"", STREAMS[is_error]} and (not wanted.levels or level in wanted.levels)
            }
            found = [index for index in found if self.flags[index] in allowed]
        if wanted.replica is not None or wanted.release is not None:
            by = {
                number
                for number, writer in enumerate(self.writers)
                if wanted.replica in {None, writer.replica} and wanted.release in {None, writer.release}
            }
            found = [index for index in found if self.by[index] in by]
        return list(found)


def find_lines(text: bytes, wanted: str) -> list[int]:
    """Return the indexes of the lines that have a text, whatever its case and the colours between its letters."""
    text, needle = strip_colours(text), wanted.lower()
    if needle.isascii():
        return _find_lines(text.lower(), needle.encode(), b"\n")
    return _find_lines(text.decode(errors="replace").lower(), needle, "\n")


def _find_lines(text: AnyStr, needle: AnyStr, newline: AnyStr) -> list[int]:
    found: list[int] = []
    index = begin = 0
    place = -1 if newline in needle else text.find(needle)
    while place >= 0:
        index += text.count(newline, begin, place)
        found.append(index)
        begin = text.find(newline, place)
        place = text.find(needle, begin) if begin >= 0 else -1
    return found


def pack(block: Block, positions: Positions) -> bytes:
    """Return the chunk of a block."""
    from orca.features.logs.compression import zstd  # noqa: PLC0415 - half a megabyte that a start does without

    described = block.describe(positions)
    header = json.dumps(
        [
            described.first, described.count, described.start, described.end, described.levels,
            [[writer.id, writer.replica, writer.release] for writer in block.writers], described.positions,
        ],
        separators=(",", ":"),
    ).encode()  # fmt: skip
    steps = array("q", map(sub, block.at, [0, *block.at]))
    lengths = array("I", map(sub, block.ends, [0, *block.ends]))
    columns = b"".join(part.tobytes() for part in (steps, lengths, block.flags, block.by))
    body = zstd.compress(block.text + columns, _COMPRESSION)
    checksum = crc32(body, crc32(header))
    return PREFIX.pack(MAGIC, len(header), len(body), checksum) + header + body


def parse_header(data: bytes) -> Header:
    """Read a header. Raises ValueError when it is none."""
    first, count, start, end, levels, writers, positions = json.loads(data)
    if len(levels) != len(LEVELS):
        raise ValueError("these are no counts of levels")
    known = {name: (int(at), int(same)) for name, (at, same) in positions.items()}
    return Header(first, count, start, end, levels, tuple(Writer(*writer) for writer in writers), known)


def unpack(header: Header, body: bytes, wanted: Filter = EVERYTHING) -> tuple[Block | None, list[int]]:
    """Return the lines of a chunk, and which of them match; no lines when none does. Raises ValueError if damaged."""
    from orca.features.logs.compression import zstd  # noqa: PLC0415 - likewise

    try:
        data = zstd.decompress(body)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    place = len(data) - header.count * _ROW
    block = Block(header.first)
    block.text = data[:place]
    found: Sequence[int] = range(header.count)
    if wanted.text and not (found := find_lines(block.text, wanted.text)):
        return None, []
    steps, lengths = array("q"), array("I")
    for column in (steps, lengths, block.flags, block.by):
        size = header.count * column.itemsize
        column.frombytes(data[place : place + size])
        place += size
    block.at, block.ends = array("q", accumulate(steps)), array("I", accumulate(lengths))
    block.writers = list(header.writers)
    return block, block.narrow(found, wanted)
