"""Token buckets: a burst, then a steady pace, per key, in bounded memory."""

import pytest

from orca.errors import RateLimited
from orca.features.access.rate_limit import MAX_KEYS, Buckets, Rate, RepeatCounter


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Hands:
    return Hands()


def test_a_burst_is_let_through_and_then_one_per_interval(clock: Hands) -> None:
    buckets = Buckets(Rate(3, 0.5), clock)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(RateLimited) as refused:
        buckets.take("a")
    assert refused.value.details["retry_after"] == 2
    clock.seconds = 2
    buckets.take("a")
    with pytest.raises(RateLimited):
        buckets.take("a")


def test_keys_do_not_share(clock: Hands) -> None:
    buckets = Buckets(Rate(1, 1), clock)
    buckets.take("a")
    buckets.take("b")
    with pytest.raises(RateLimited):
        buckets.take("a")


def test_checking_takes_nothing(clock: Hands) -> None:
    buckets = Buckets(Rate(1, 1), clock)
    for _ in range(5):
        buckets.check("a")
    buckets.take("a")
    with pytest.raises(RateLimited):
        buckets.check("a")


def test_refusals_do_not_postpone_the_next_token(clock: Hands) -> None:
    buckets = Buckets(Rate(1, 1), clock)
    buckets.take("a")
    for tenth in range(10):
        clock.seconds = tenth / 10
        with pytest.raises(RateLimited):
            buckets.take("a")
    clock.seconds = 1.0
    buckets.take("a")


def test_memory_is_bounded_by_forgetting_the_longest_unused(clock: Hands) -> None:
    buckets = Buckets(Rate(1, 0.001), clock)
    for number in range(MAX_KEYS + 10):
        buckets.take(str(number))
    assert len(buckets._levels) == MAX_KEYS
    with pytest.raises(RateLimited):
        buckets.take(str(MAX_KEYS + 9))


def test_what_is_repeated_is_counted_and_told_the_next_time(clock: Hands) -> None:
    repeated = RepeatCounter(60, clock)
    assert [repeated.note("a") for _ in range(4)] == [0, None, None, None]
    assert repeated.note("b") == 0
    clock.seconds = 61
    assert [repeated.note("a"), repeated.note("a"), repeated.note("b")] == [3, None, 0]
    for number in range(MAX_KEYS):
        repeated.note(str(number))
    assert repeated.note("a") == 0
    assert len(repeated._seen) == MAX_KEYS
