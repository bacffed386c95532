"""The end of a stream is kept, whole, at any cut."""

from hypothesis import given
from hypothesis import strategies as st

from orca.kit.tail import Tail


@given(st.lists(st.binary(max_size=200)), st.integers(0, 300))
def test_it_is_the_end_of_the_whole(chunks, limit):
    tail = Tail(limit)
    for chunk in chunks:
        tail.add(chunk)
    whole = b"".join(chunks)
    assert tail.bytes() == (whole[-limit:] if limit else b"")


def test_memory_stays_bounded():
    tail = Tail(10)
    for _ in range(1000):
        tail.add(bytes(5000))
    assert len(tail._kept) < 200_000
    assert tail.bytes() == bytes(10)
