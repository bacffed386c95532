"""Takes apart what Docker multiplexes: frames of two streams, and the log lines in them. Pure."""

import struct
from collections.abc import Iterator
from typing import Literal

from orca.errors import ProviderUnavailable
from orca.providers.engines.docker.observe import read_instant
from orca.sdk.engines import LogLine

Stream = Literal["stdout", "stderr"]
Frame = tuple[Stream, bytes]

_HEADER = struct.Struct(">BxxxL")
_LARGEST = 1 << 20
"""Docker's own frames hold up to 32 KiB; anything near this is not a frame."""
_LONGEST_LINE = 1 << 16


class FrameDecoder:
    """Bytes in, whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take what arrived. Raises ProviderUnavailable when this is no multiplexed stream."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _HEADER.size:
            number, length = _HEADER.unpack_from(self._buffer, start)
            if number > 2 or length > _LARGEST:  # noqa: PLR2004 - 0 and 1 are stdout, 2 is stderr
                raise ProviderUnavailable("Docker sent output in an unknown form.", hint="Report this as a bug.")
            end = start + _HEADER.size + length
            if end > len(self._buffer):
                break
            yield ("stderr" if number == 2 else "stdout"), bytes(self._buffer[start + _HEADER.size : end])  # noqa: PLR2004
            start = end
        del self._buffer[:start]


class LineAssembler:
    """Frames with timestamps in, lines out. Docker cuts long lines into frames; here they are joined again."""

    def __init__(self) -> None:
        self._parts: dict[Stream, tuple[bytes, bytes]] = {}

    def take(self, frame: Frame) -> Iterator[LogLine]:
        """The line that this frame completes, if it does; one of extreme length comes in pieces."""
        stream, payload = frame
        stamp, _, text = payload.partition(b" ")
        first_stamp, begun = self._parts.pop(stream, (stamp, b""))
        whole = begun + text
        if whole.endswith(b"\n") or len(whole) >= _LONGEST_LINE:
            yield _line(stream, first_stamp, whole)
        else:
            self._parts[stream] = first_stamp, whole

    def rest(self) -> Iterator[LogLine]:
        """What was written last without a newline."""
        for stream, (stamp, text) in self._parts.items():
            yield _line(stream, stamp, text)
        self._parts.clear()


def _line(stream: Stream, stamp: bytes, text: bytes) -> LogLine:
    at = read_instant(stamp.decode(errors="replace")) if stamp else None
    return LogLine(stream, text.decode(errors="replace").rstrip("\r\n"), at)
