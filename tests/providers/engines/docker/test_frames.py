"""Frames and lines come out whole, wherever the network cut them."""

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.errors import ProviderUnavailable
from orca.providers.engines.docker.frames import FrameDecoder, LineAssembler

STAMP = b"2026-11-21T02:57:42.966006601Z "
AT = datetime(2026, 11, 21, 2, 57, 42, 966006, UTC)


def frame(stream, payload):
    return struct.pack(">BxxxL", stream, len(payload)) + payload


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50))), st.integers(1, 20))
def test_frames_at_any_cut(frames, size):
    wire = b"".join(frame(*each) for each in frames)
    decoder = FrameDecoder()
    decoded = [each for start in range(0, len(wire), size) for each in decoder.feed(wire[start : start + size])]
    assert decoded == [("stdout" if stream == 1 else "stderr", payload) for stream, payload in frames]


@pytest.mark.parametrize("wire", [b"\x07xxxabcd", struct.pack(">BxxxL", 1, 1 << 30)])
def test_what_is_no_frame_is_refused(wire):
    with pytest.raises(ProviderUnavailable):
        FrameDecoder().feed(wire)


def lines(*frames):
    assembler = LineAssembler()
    taken = [line for each in frames if (line := assembler.take(each))]
    return [(line.stream, line.text, line.at) for line in (*taken, *assembler.rest())]


def test_a_line_has_its_stream_and_its_time():
    assert lines(("stdout", STAMP + b"hello world\r\n"), ("stderr", STAMP + b"\xffoops\n")) == [
        ("stdout", "hello world", AT),
        ("stderr", "\ufffdoops", AT),
    ]


def test_pieces_of_a_long_line_are_joined_per_stream():
    assert lines(
        ("stdout", STAMP + b"a" * 16384),
        ("stderr", STAMP + b"between\n"),
        ("stdout", b"2026-11-21T02:57:43Z " + b"b\n"),
        ("stdout", STAMP + b"no newline"),
    ) == [
        ("stderr", "between", AT),
        ("stdout", "a" * 16384 + "b", AT),
        ("stdout", "no newline", AT),
    ]


def test_a_line_without_end_comes_in_pieces():
    pieces = lines(*[("stdout", STAMP + b"x" * 16384)] * 9)
    assert [len(text) for _, text, _ in pieces] == [65536, 65536, 16384]


def test_an_empty_line_is_a_line():
    assert lines(("stdout", STAMP + b"\n")) == [("stdout", "", AT)]
