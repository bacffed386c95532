"""Unpacks an uploaded tar archive that may be hostile.

The archive is read header by header with our own parser, because the standard one creates whatever the archive says.
Here regular files, directories and links that stay inside are created, and everything else is refused by name. Links
are created last, so that nothing is ever written through one, and the result is verified before it is returned.
"""

import os
import re
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from orca.errors import BadInput, PayloadTooLarge
from orca.sdk.trees import NAME_LIMIT, Tree, UnsafePath

_BLOCK = 512
_CHUNK = 1 << 18
_META_LIMIT = 64 << 10
_META_IN_A_ROW = 3
"""Maximum metadata headers before one member: one more than two long names, or a global and a local record."""
_RECORDS = 100
"""Maximum records in one metadata header; usual archives have fewer than ten."""
_DEPTH_LIMIT = 64
_PATH_LIMIT = 4000
_DIGITS = 18
"""Maximum digits of a number: more than any size needs, and few enough for `int`."""
_GZIP = b"\x1f\x8b"
# Backslashes, control characters, and bidirectional marks, which display a name in another order.
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Maximum unpacked size. Metadata counts as bytes; entries are files, folders and links."""

    total_bytes: int = 1 << 30
    entries: int = 200_000


class BadArchive(BadInput):
    """The archive is damaged, or contains something that does not belong in a source tree."""

    code = "bad-archive"


class UnpackingStopped(Exception):
    """Unpacking was stopped by `is_stopped`."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The result of unpacking."""

    files: int
    total_bytes: int


def _never() -> bool:
    return False


def unpack_tar(
    source: BinaryIO, into: Path, limits: ArchiveLimits, *, is_stopped: Callable[[], bool] = _never
) -> Unpacked:
    """Unpack a tar stream (plain or gzip) into `into`, which must not exist yet. Blocking: run it in a thread.

    Raises BadArchive, UnsafePath or PayloadTooLarge, and UnpackingStopped soon after `is_stopped` (called often, from
    this thread) returns True; in all these cases nothing is left behind.
    """
    into.mkdir(mode=0o700)
    try:
        extraction = _Extraction(into, limits, is_stopped)
        extraction.run(_Stream(source, limits))
        return extraction.verify()
    except BaseException:
        shutil.rmtree(into)
        raise


class _Stream:
    """The decompressed bytes of the tar, never more than the limits allow."""

    def __init__(self, source: BinaryIO, limits: ArchiveLimits) -> None:
        head = source.read(len(_GZIP))
        pieces = _raw(source, head)
        self._pieces = _inflate(pieces) if head == _GZIP else pieces
        self._buffer = b""
        self._offset = 0
        # Each entry needs a header, padding, and at most a few metadata records.
        self._left = limits.total_bytes + limits.entries * 4 * _BLOCK + _CHUNK

    def read(self, size: int) -> bytes:
        """Read exactly `size` bytes. Raises BadArchive if the archive ends before."""
        while len(self._buffer) - self._offset < size:
            piece = next(self._pieces, b"")
            if not piece:
                raise BadArchive("The archive ends in the middle.", hint="The upload was cut off; send it again.")
            self._left -= len(piece)
            if self._left < 0:
                raise PayloadTooLarge(
                    "The archive unpacks to more than is allowed.", hint="Ignore build output and data."
                )
            self._buffer, self._offset = self._buffer[self._offset :] + piece, 0
        self._offset += size
        return self._buffer[self._offset - size : self._offset]


def _raw(source: BinaryIO, head: bytes) -> Iterator[bytes]:
    yield head
    while piece := source.read(_CHUNK):
        yield piece


def _inflate(pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        for piece in pieces:
            data = piece
            while data and not inflater.eof:
                if out := inflater.decompress(data, _CHUNK):
                    yield out
                data = inflater.unconsumed_tail
        if out := inflater.flush():
            yield out
    except zlib.error:
        raise BadArchive("The archive is not valid gzip.", hint="Send a tar or tar.gz archive.") from None


@dataclass(slots=True)
class _Entry:
    name: str
    kind: bytes
    mode: int
    size: int
    link: str


@dataclass(slots=True)
class _Extraction:
    into: Path
    limits: ArchiveLimits
    is_stopped: Callable[[], bool]
    kinds: dict[tuple[str, ...], bytes] = field(default_factory=lambda: {(): b"5"})
    links: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    entries: int = 0
    headers: int = 0
    """Number of headers, of entries and of their metadata."""
    total: int = 0
    metadata: int = 0
    files: int = 0

    def run(self, stream: _Stream) -> None:
        for entry in _entries(stream, self._count_metadata):
            self.total += entry.size
            self.entries += 1
            self._count_header()
            self._place(entry, stream)
        for parts, target in self.links:
            self._go_on()
            self.into.joinpath(*parts).symlink_to(target)

    def _count_metadata(self, size: int) -> None:
        self.metadata += size
        self._count_header()

    def _count_header(self) -> None:
        """Count a header, before the data after it is read."""
        self._go_on()
        self.headers += 1
        most = self.limits.entries * (_META_IN_A_ROW + 1)
        is_long = self.entries > self.limits.entries or self.headers > most
        if is_long or self.total + self.metadata > self.limits.total_bytes:
            raise PayloadTooLarge(
                f"The archive holds more than {self.limits.entries} entries or {self.limits.total_bytes} bytes.",
                hint="Leave out build output, dependencies and data with .dockerignore or .gitignore.",
            )

    def _go_on(self) -> None:
        if self.is_stopped():
            raise UnpackingStopped

    def _place(self, entry: _Entry, stream: _Stream) -> None:
        parts = _check_name(entry.name)
        if entry.kind == b"5":
            self._make_directories(parts)
            return
        self._make_directories(parts[:-1])
        if parts in self.kinds:
            raise BadArchive(f"{entry.name!r} is in the archive twice.", hint="Make the archive again.")
        self.kinds[parts] = entry.kind
        if entry.kind == b"2":
            _check_link(parts, entry.link)
            self.links.append((parts, entry.link))
        else:
            self._write(parts, entry, stream)

    def _make_directories(self, parts: tuple[str, ...]) -> None:
        for depth in range(1, len(parts) + 1):
            here = parts[:depth]
            kind = self.kinds.get(here)
            if kind is None:
                self.entries += 1
                self.kinds[here] = b"5"
                self.into.joinpath(*here).mkdir(mode=0o755)
            elif kind != b"5":
                raise UnsafePath(
                    f"The archive puts a file beneath {'/'.join(here)!r}, which is no directory.",
                    hint="Make the archive again without following links.",
                )

    def _write(self, parts: tuple[str, ...], entry: _Entry, stream: _Stream) -> None:
        mode = 0o755 if entry.mode & stat.S_IXUSR else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self.into.joinpath(*parts), flags, mode), "wb") as file:
            left = entry.size
            while left:
                self._go_on()
                piece = stream.read(min(left, _CHUNK))
                file.write(piece)
                left -= len(piece)
        stream.read(-entry.size % _BLOCK)
        self.files += 1

    def verify(self) -> Unpacked:
        """Check what is on the disk now. Raises UnsafePath for a link that leads out of the tree."""
        tree = Tree(self.into)
        for parts, target in self.links:
            self._go_on()
            path = "/".join(parts)
            if target.startswith("/") or not tree.stays_inside(path):
                raise UnsafePath(
                    f"{path} is a symbolic link that leads out of the archive.",
                    hint="Replace the link with the file itself.",
                )
        found = [
            entry.lstat().st_mode
            for folder, _, names in os.walk(self.into)
            for entry in map(Path(folder).joinpath, names)
        ]
        if sum(map(stat.S_ISREG, found)) != self.files or len(found) < self.files:
            raise BadArchive("The archive did not unpack to what it says.", hint="Make the archive again.")
        return Unpacked(files=self.files, total_bytes=self.total)


def _check_name(name: str) -> tuple[str, ...]:
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if name.startswith("/") or ".." in parts or _FORBIDDEN.search(name):
        raise UnsafePath(
            f"The archive holds the path {name!r}, which leads out of the tree or has forbidden characters.",
            hint="Make the archive from inside the project directory, with relative paths.",
        )
    if len(parts) > _DEPTH_LIMIT or len(name) > _PATH_LIMIT or any(len(part.encode()) > NAME_LIMIT for part in parts):
        raise BadArchive(f"The path {name[:80]!r}… is too long.", hint="Leave deep build output out.")
    return parts


def _check_link(parts: tuple[str, ...], target: str) -> None:
    """Refuse a link that leads out by its text alone, even if its target does not exist."""
    depth = len(parts) - 1
    for step in target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(step, 1)
        if depth < 0 or target.startswith("/") or _FORBIDDEN.search(target):
            raise UnsafePath(
                f"{'/'.join(parts)} is a symbolic link that leads out of the archive.",
                hint="Replace the link with the file itself.",
            )


def _entries(stream: _Stream, count_metadata: Callable[[int], None]) -> Iterator[_Entry]:
    """Yield the archive's members, with long names and sizes from metadata records already applied."""
    meta: dict[str, str] = {}
    in_a_row = 0
    while any(header := stream.read(_BLOCK)):
        entry = _parse_header(header)
        if entry.kind in b"xgLK":
            in_a_row += 1
            count_metadata(entry.size)
            if in_a_row > _META_IN_A_ROW:
                raise BadArchive("The archive describes one entry again and again.", hint="Make the archive again.")
            meta |= _parse_meta(entry, stream)
            continue
        in_a_row = 0
        entry.name = meta.get("path", entry.name)
        entry.link = meta.get("linkpath", entry.link)
        entry.size = int(meta["size"]) if _is_number(meta.get("size", "")) else entry.size
        meta = {}
        _check_kind(entry)
        yield entry


def _parse_header(header: bytes) -> _Entry:
    if sum(header) - sum(header[148:156]) + 8 * 0x20 != _number(header[148:156]):
        raise BadArchive("The archive is damaged: a checksum is wrong.", hint="Send a tar or tar.gz archive.")
    name = _text(header[:100])
    if header[257:263] == b"ustar\0" and (prefix := _text(header[345:500])):
        name = f"{prefix}/{name}"
    kind = header[156:157]
    if kind in b"\x007":
        kind = b"5" if name.endswith("/") else b"0"
    return _Entry(name, kind, _number(header[100:108]), _number(header[124:136]), _text(header[157:257]))


def _text(raw: bytes) -> str:
    try:
        return raw.split(b"\0", 1)[0].decode()
    except UnicodeDecodeError:
        raise BadArchive("A name in the archive is not UTF-8.", hint="Rename the file and try again.") from None


def _number(raw: bytes) -> int:
    if raw[0] & 0x80:  # GNU's binary form for numbers too large for the octal digits
        return int.from_bytes(bytes([raw[0] & 0x7F]) + raw[1:])
    digits = raw.strip(b" \0")
    if not set(digits) <= set(b"01234567"):
        raise BadArchive("The archive is damaged: a number is wrong.", hint="Send a tar or tar.gz archive.")
    return int(digits or b"0", 8)


def _parse_meta(entry: _Entry, stream: _Stream) -> dict[str, str]:
    if entry.size > _META_LIMIT:
        raise BadArchive("The archive has an oversized metadata record.", hint="Make the archive again.")
    data = stream.read(entry.size + -entry.size % _BLOCK)[: entry.size]
    if entry.kind in b"LK":
        return {"path" if entry.kind == b"L" else "linkpath": _text(data)}
    records = _parse_pax(data)
    if any(key.startswith("GNU.sparse") for key in records) or (
        entry.kind == b"g" and records.keys() & {"path", "linkpath", "size"}
    ):
        raise BadArchive("The archive uses sparse files or global names.", hint="Make it with plain `tar -c`.")
    return {} if entry.kind == b"g" else {key: records[key] for key in ("path", "linkpath", "size") if key in records}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def _parse_pax(data: bytes) -> dict[str, str]:
    """Parse records of the form `<length> <key>=<value>` and a line feed, where the length includes itself."""
    records: dict[str, str] = {}
    at = 0
    for _ in range(_RECORDS):
        if at == len(data):
            return records
        space = data.find(b" ", at, at + _DIGITS + 1)
        digits = data[at : max(space, at)]
        if not digits.isdigit() or not len(digits) < int(digits) <= len(data) - at:
            raise BadArchive("The archive has a damaged metadata record.", hint="Make the archive again.")
        key, _, value = data[space + 1 : at + int(digits)].rstrip(b"\n").partition(b"=")
        records[_text(key)] = _text(value)
        at += int(digits)
    if at < len(data):
        raise BadArchive("The archive has too many metadata records.", hint="Make it with plain `tar -c`.")
    return records


_REFUSED = {b"1": "a hard link", b"3": "a device", b"4": "a device", b"6": "a named pipe", b"S": "a sparse file"}


def _check_kind(entry: _Entry) -> None:
    if entry.kind not in {b"0", b"2", b"5"}:
        raise BadArchive(
            f"{entry.name!r} is {_REFUSED.get(entry.kind, 'of an unknown kind')}: only files, folders and links fit.",
            hint="Make the archive with `tar --hard-dereference`, without special files.",
        )
    if entry.kind == b"0" and entry.mode & (stat.S_ISUID | stat.S_ISGID):
        raise BadArchive(f"{entry.name!r} is set-uid or set-gid.", hint="Clear the bit: chmod u-s,g-s.")
    if entry.kind != b"0" and entry.size:
        raise BadArchive(f"{entry.name!r} has a size but is no file.", hint="Make the archive again.")
