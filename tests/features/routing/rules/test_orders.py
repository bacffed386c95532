"""When a certificate is ordered, and how long to wait after an order that failed."""

from datetime import UTC, datetime, timedelta

import pytest

from orca.features.routing.rules.orders import (
    HeldCertificate,
    OrderFailed,
    is_order_due,
    next_order_delay,
    parse_retry_after,
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("Sun, 29 Nov 2026 12:10:00 GMT", 600), ("-5", None), ("soon", None), ("", None), (None, None),
     ("9" * 400, 8 * 86400), ("Sun, 29 Nov 2020 12:10:00 GMT", None)],
)  # fmt: skip
def test_retry_after_is_read_as_the_standard_says(value: str | None, seconds: float | None) -> None:
    at = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    found = parse_retry_after(value, at)
    assert (found.total_seconds() if found else None) == seconds


@pytest.mark.parametrize(
    ("kind", "failures", "retry_after", "minutes"),
    [("refused", 1, None, 15), ("refused", 20, None, 1440), ("unreachable", 1, None, 1), ("unreachable", 20, None, 60),
     ("rate-limited", 1, None, 60), ("rate-limited", 1, 2880, 2880), ("unreachable", 1, 30, 30),
     ("rate-limited", 1, 60 * 24 * 365, 8 * 1440)],
)  # fmt: skip
def test_pauses_fit_what_happened(kind, failures: int, retry_after: int | None, minutes: int) -> None:
    asked = timedelta(minutes=retry_after) if retry_after else None
    assert next_order_delay(OrderFailed(kind, "", asked), failures) == timedelta(minutes=minutes)


def test_a_third_of_a_life_left_is_when_to_renew() -> None:
    at = datetime(2026, 11, 29, tzinfo=UTC)
    held = HeldCertificate(at - timedelta(days=60), at + timedelta(days=30), "a")
    assert is_order_due(held, "a", at)
    assert not is_order_due(held, "a", at - timedelta(seconds=1))
    assert is_order_due(held, "b", at - timedelta(days=59))
    assert is_order_due(None, "a", at)
