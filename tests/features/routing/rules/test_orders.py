"""What became of an order, and how patient the next one is."""

from datetime import UTC, datetime, timedelta

import pytest

from orca.features.routing.rules.orders import Order, judge_order, next_order_delay

SINCE = datetime(2026, 1, 1, 12, 0, 0, 900_000, UTC)
NOW = SINCE + timedelta(hours=1)
SAME_SECOND, BEFORE = SINCE.replace(microsecond=0), SINCE - timedelta(seconds=1)
PAST, FUTURE = NOW - timedelta(days=1), NOW + timedelta(days=1)


@pytest.mark.parametrize(
    ("failed_at", "until", "outcome"),
    [
        (None, None, "waiting"),
        (BEFORE, None, "waiting"),
        (SAME_SECOND, None, "failed"),
        (NOW, None, "failed"),
        (None, FUTURE, "held"),
        (BEFORE, FUTURE, "held"),
        (NOW, FUTURE, "renewal failed"),
        (None, PAST, "waiting"),
        (NOW, PAST, "failed"),
        (NOW, NOW, "failed"),
    ],
)
def test_outcomes(failed_at: datetime | None, until: datetime | None, outcome: str) -> None:
    assert judge_order(Order(SINCE, failed_at, until), NOW) == outcome


def test_pauses_grow_and_end() -> None:
    delays = [next_order_delay(failures) for failures in range(1, 40)]
    assert delays[:4] == [timedelta(minutes=minutes) for minutes in (15, 30, 60, 120)]
    assert delays == sorted(delays)
    assert delays[-1] == timedelta(days=1)
