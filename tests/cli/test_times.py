"""Moments and durations by tables."""

from datetime import UTC, datetime

import pytest

from orca.cli.times import ago, duration

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (None, "—"),
        ("2026-03-01T12:00:00Z", "just now"),
        ("2026-03-01T11:59:30Z", "30 s ago"),
        ("2026-03-01T11:57:00+00:00", "3 min ago"),
        ("2026-03-01T13:30:00+02:00", "30 min ago"),
        ("2026-03-01T09:00:00", "3 h ago"),
        ("2026-02-28T12:00:00Z", "1 day ago"),
        ("2026-02-01T12:00:00Z", "28 days ago"),
        ("2026-03-03T12:00:00Z", "in 2 days"),
        ("2026-03-31T11:59:58Z", "in 30 days"),
        ("2026-03-02T12:00:01Z", "in 1 day"),
        ("2026-03-01T13:29:00Z", "in 1 h"),
    ],
)
def test_ago(moment: str | None, expected: str) -> None:
    assert ago(moment, NOW) == expected


@pytest.mark.parametrize(
    ("started", "finished", "expected"),
    [
        (None, None, ""),
        ("2026-03-01T11:59:58.5Z", None, "1.5 s"),
        ("2026-03-01T11:00:00Z", "2026-03-01T11:02:05Z", "2 min 5 s"),
        ("2026-03-01T11:00:00Z", "2026-03-01T10:59:59Z", "0.0 s"),
    ],
)
def test_duration(started: str | None, finished: str | None, expected: str) -> None:
    assert duration(started, finished, NOW) == expected
