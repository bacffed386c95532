"""What a visitor finds at a name whose certificate is ordered."""

from datetime import UTC, datetime, timedelta

import pytest

from orca.features.routing.rules.conditions import Condition, judge_certificate

NOW = datetime(2026, 5, 1, tzinfo=UTC)
READY, VALID, ENDED = NOW - timedelta(days=1), NOW + timedelta(days=9), NOW - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("ready_at", "until", "failed_looks", "failed_orders", "condition"),
    [
        (None, None, 0, 0, "awaiting_certificate"),
        (None, None, 1, 0, "unreachable"),
        (None, None, 3, 1, "awaiting_certificate"),
        (READY, None, 0, 0, "awaiting_certificate"),
        (READY, VALID, 0, 0, "live"),
        (READY, ENDED, 0, 0, "awaiting_certificate"),
    ],
)
def test_the_condition_is_what_a_visitor_finds(
    ready_at: datetime | None, until: datetime | None, failed_looks: int, failed_orders: int, condition: Condition
) -> None:
    found = judge_certificate(ready_at, until, failed_looks=failed_looks, failed_orders=failed_orders, now=NOW)
    assert found == condition
