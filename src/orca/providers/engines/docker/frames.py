"""Demultiplexes Docker's streams: frames of two streams, and the log lines in them. Pure."""

import struct
from typing import Literal

from orca.errors import ProviderUnavailable
from orca.providers.engines.docker.observe import read_instant
from orca.sdk.workloads import LogLine

Stream = Literal["stdout", "stderr"]
Frame = tuple[Stream, bytes]

_HEADER = struct.Struct(">BxxxL")
_STDERR = 2
"""The stream number of standard error; 0 and 1 are standard output."""
_LARGEST = 1 << 20
"""Maximum size of a frame. Docker's own frames are at most 32 KiB; data of this size is not a frame."""
_LONGEST_LINE = 1 << 16


class FrameDecoder:
    """Decodes bytes into complete frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes. Raises ProviderUnavailable when this is not a multiplexed stream."""
        data = self._rest + data
        frames: list[Frame] = []
        start, payload = 0, _HEADER.size
        while payload <= len(data):
            number, length = _HEADER.unpack_from(data, start)
            if number > _STDERR or length > _LARGEST:
                raise ProviderUnavailable("Docker sent output in an unknown form.", hint="Report this as a bug.")
            if payload + length > len(data):
                break
            start = payload + length
            frames.append(("stderr" if number == _STDERR else "stdout", data[payload:start]))
            payload = start + _HEADER.size
        self._rest = data[start:]
        return frames


class LineAssembler:
    """Assembles lines from frames with timestamps. Docker splits long lines into frames; they are joined again here."""

    def __init__(self) -> None:
        self._parts: dict[Stream, tuple[bytes, bytes]] = {}

    def take(self, frame: Frame) -> LogLine | None:
        """Return the line that this frame completes, if any; a line of extreme length is returned in pieces."""
        stream, payload = frame
        stamp, _, text = payload.partition(b" ")
        if stream in self._parts:
            stamp, begun = self._parts.pop(stream)
            text = begun + text
        if text.endswith(b"\n") or len(text) >= _LONGEST_LINE:
            return _line(stream, stamp, text)
        self._parts[stream] = stamp, text
        return None

    def rest(self) -> list[LogLine]:
        """Return the remaining output, which has no newline at its end."""
        lines = [_line(stream, stamp, text) for stream, (stamp, text) in self._parts.items()]
        self._parts.clear()
        return lines


def _line(stream: Stream, stamp: bytes, text: bytes) -> LogLine:
    return LogLine(stream, text.decode(errors="replace").rstrip("\r\n"), read_instant(stamp.decode(errors="replace")))
