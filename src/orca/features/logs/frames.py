"""How lines lie on disk: chunks of some 256 KiB, each compressed, checksummed and described by a header. Pure.

A chunk is `prefix header body`. The body is columns (time, place of the text, flags, writer) before the texts, which
are joined by newlines: a search runs over the texts alone, in one pass.
"""

import json
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from orca.features.logs.rules import STREAMS, Filter, Line, StoredLine, Writer, find_level, strip_colours

MAGIC = b"OLG1"
PREFIX = struct.Struct("<4sIII")
"""Magic, length of the header, length of the body, checksum of both."""
MOST_HEADER, MOST_BODY = 1 << 20, 1 << 26
"""Lengths above these are no chunk's."""
_COMPRESSION = 1
_ROOM = 40
"""Bytes a line takes in memory beside its text."""
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
    levels: int
    """A bit for each level that occurs."""
    writers: tuple[Writer, ...]
    positions: Positions

    def may_have(self, wanted: Filter) -> bool:
        """Whether a line in it can match."""
        if not self.count or (wanted.since is not None and self.end < wanted.since):
            return False
        if wanted.until is not None and self.start >= wanted.until:
            return False
        if wanted.levels and not any(self.levels >> level & 1 for level in wanted.levels):
            return False
        return any(
            wanted.replica in {None, writer.replica} and wanted.release in {None, writer.release}
            for writer in self.writers
        )

    def is_all_of(self, wanted: Filter) -> bool:
        """Whether every line in it matches."""
        is_within = wanted.since is None or self.start >= wanted.since
        return is_within and (wanted.until is None or self.end < wanted.until) and not wanted.is_by_line


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

    def add(self, lines: Iterable[Line]) -> None:
        """Append lines."""
        known = {writer: number for number, writer in enumerate(self.writers)}
        at, ends, flags, by, text = self.at, self.ends, self.flags, self.by, self.text
        for line in lines:
            number = known.get(line.writer)
            if number is None:
                number = known[line.writer] = len(self.writers)
                self.writers.append(line.writer)
            if text or at:
                text += b"\n"
            text += line.text.encode(errors="replace")
            at.append(line.at)
            ends.append(len(text))
            flags.append(line.is_error | find_level(line.text) << 1)
            by.append(number)

    def copy(self) -> "Block":
        """Return the lines as they are now."""
        copied = Block(self.first)
        copied.at, copied.ends, copied.flags, copied.by = self.at[:], self.ends[:], self.flags[:], self.by[:]
        copied.writers, copied.text = self.writers[:], bytes(self.text)
        return copied

    def describe(self, positions: Positions) -> Header:
        """Return its header."""
        levels = 0
        for flag in set(self.flags):
            levels |= 1 << (flag >> 1)
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
        found: Iterable[int] = self._search(wanted.needle) if wanted.text else range(len(self.at))
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

    def _search(self, needle: bytes) -> list[int]:
        if b"\x1b" in self.text or not needle.isascii():
            return self._search_each(needle)
        text, ends, found = bytes(self.text).lower(), self.ends, []
        place = text.find(needle)
        while place >= 0:
            index = bisect_right(ends, place)
            if index == len(ends):
                break
            if place + len(needle) <= ends[index]:
                found.append(index)
                place = ends[index]
            place = text.find(needle, place + 1)
        return found

    def _search_each(self, needle: bytes) -> list[int]:
        """Compare line by line: the text has colours, or the needle letters whose case is not a matter of bytes."""
        text, word = bytes(self.text), needle.decode()
        places = [0, *(end + 1 for end in self.ends)]
        lines = (strip_colours(text[begin : end - 1]) for begin, end in pairwise(places))
        return [index for index, line in enumerate(lines) if word in line.decode(errors="replace").lower()]


def pack(block: Block, positions: Positions) -> bytes:
    """Return the chunk of a block."""
    described = block.describe(positions)
    header = json.dumps(
        [
            described.first, described.count, described.start, described.end, described.levels,
            [[writer.id, writer.replica, writer.release] for writer in block.writers], described.positions,
        ],
        separators=(",", ":"),
    ).encode()  # fmt: skip
    columns = b"".join(part.tobytes() for part in (block.at, block.ends, block.flags, block.by))
    body = zlib.compress(columns + block.text, _COMPRESSION)
    checksum = zlib.crc32(body, zlib.crc32(header))
    return PREFIX.pack(MAGIC, len(header), len(body), checksum) + header + body


def parse_header(data: bytes) -> Header:
    """Read a header. Raises ValueError when it is none."""
    first, count, start, end, levels, writers, positions = json.loads(data)
    known = {name: (int(at), int(same)) for name, (at, same) in positions.items()}
    return Header(first, count, start, end, levels, tuple(Writer(*writer) for writer in writers), known)


def unpack(header: Header, body: bytes) -> Block:
    """Return the lines of a chunk. Raises ValueError and zlib.error when it is damaged."""
    block, data, place = Block(header.first), zlib.decompress(body), 0
    for column in (block.at, block.ends, block.flags, block.by):
        size = header.count * column.itemsize
        column.frombytes(data[place : place + size])
        place += size
    block.writers, block.text = list(header.writers), data[place:]
    return block
