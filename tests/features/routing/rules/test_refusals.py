"""When a refused route is tried again, and what may stay of it until then."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orca.features.routing.rules.refusals import next_try_at, next_try_delay, what_stays
from orca.sdk.proxies import BasicAuthUser, ProxyRoute, Upstream

ADA = BasicAuthUser("ada", "$2b$10$x")
OLD, NEW = Upstream("10.1.0.2", 8080), Upstream("10.1.0.3", 8080)
WANTED = ProxyRoute("r1", "shop.internal", upstreams=(NEW,), tls="internal")
BOTH = {"10.1.0.2", "10.1.0.3"}


@pytest.mark.parametrize(
    ("refusals", "seconds"), [(0, 30), (1, 30), (2, 60), (3, 120), (7, 1920), (8, 3600), (9, 3600), (1000, 3600)]
)
def test_the_pause_doubles_up_to_an_hour(refusals: int, seconds: int) -> None:
    assert next_try_delay(refusals) == timedelta(seconds=seconds)


def test_the_pause_begins_with_the_last_refusal() -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    assert next_try_at(2, at) == at + timedelta(minutes=1)
    assert next_try_at(0, None) is None


@pytest.mark.parametrize(
    "earlier",
    [
        WANTED,
        replace(WANTED, title="Old", timeout=2.0, compress=False),
        replace(WANTED, upstreams=()),
        replace(WANTED, tls="off"),
        replace(WANTED, upstreams=(Upstream("10.1.0.3", 9000),)),
        replace(WANTED, upstreams=(), redirect_to="https://other.internal"),
    ],
)
def test_what_leads_somewhere_stays_as_it_was(earlier: ProxyRoute) -> None:
    assert what_stays(earlier, WANTED, {"10.1.0.3"}) == earlier


def test_replicas_that_are_gone_are_left_out() -> None:
    earlier = replace(WANTED, upstreams=(OLD, NEW))
    assert what_stays(earlier, WANTED, BOTH) == earlier
    assert what_stays(earlier, WANTED, {"10.1.0.2"}) == replace(WANTED, upstreams=(OLD,))
    assert what_stays(earlier, WANTED, set()) is None


@pytest.mark.parametrize(
    ("earlier", "wanted"),
    [
        (replace(WANTED, hostname="old.internal"), WANTED),
        (replace(WANTED, path_prefix="/api"), WANTED),
        (WANTED, replace(WANTED, basic_auth=(ADA,))),
        (WANTED, replace(WANTED, allow_ips=("10.0.0.0/8",))),
        (WANTED, replace(WANTED, maintenance=True)),
        (replace(WANTED, tls="acme"), WANTED),
        (
            replace(WANTED, tls="custom", certificate_id="c1"),
            replace(WANTED, tls="custom", certificate_id="c2"),
        ),
    ],
)
def test_what_nobody_wants_any_more_does_not_stay(earlier: ProxyRoute, wanted: ProxyRoute) -> None:
    assert what_stays(earlier, wanted, BOTH) is None
