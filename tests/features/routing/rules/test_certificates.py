"""Which certificate a name may show, and when it is time to worry."""

from datetime import UTC, datetime, timedelta

import pytest

from orca.features.routing.rules.certificates import (
    certifies,
    default_tls,
    is_expiring,
    next_check_delay,
)

NOW = datetime.now(UTC)


def test_certifies() -> None:
    assert certifies(["a.org", "*.b.org"], "x.b.org")
    assert certifies(["*.b.org"], "*.b.org")
    assert not certifies(["x.b.org"], "*.b.org")
    assert not certifies(["*.b.org"], "b.org")


@pytest.mark.parametrize(
    ("hostname", "mode"), [("a.org", "acme"), ("a.localhost", "internal"), ("nas", "internal"), ("*.a.org", "internal")]
)
def test_tls_by_name(hostname: str, mode: str) -> None:
    assert default_tls(hostname) == mode


def test_two_weeks_are_soon() -> None:
    assert is_expiring(NOW + timedelta(days=13, hours=23), NOW)
    assert not is_expiring(NOW + timedelta(days=14, minutes=1), NOW)


def test_patience_grows_and_ends() -> None:
    delays = [next_check_delay(failures) for failures in range(1, 40)]
    assert delays[:4] == [timedelta(minutes=m) for m in (1, 2, 4, 8)]
    assert delays == sorted(delays)
    assert delays[-1] == timedelta(hours=6)
