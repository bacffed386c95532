"""What became of an ordered certificate, and how long to wait after an order that failed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from orca.kit.backoff import growing_pause

Outcome = Literal["waiting", "held", "renewal failed", "failed"]

_FIRST_DELAY = timedelta(minutes=15)
"""Public authorities take about five failures an hour for a name; one order may be two of them."""
_LONGEST_DELAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Order:
    """What is known of the order for one hostname."""

    since: datetime
    """When it was allowed to begin."""
    failed_at: datetime | None
    """The last attempt that failed, in whole seconds; None when none did."""
    until: datetime | None
    """When the certificate that the proxy holds ends; None without one."""


def judge_order(order: Order, now: datetime) -> Outcome:
    """`failed` is to be left alone for a while. A certificate that still counts is never given up for that."""
    has_failed = order.failed_at is not None and order.failed_at >= order.since.replace(microsecond=0)
    if order.until is not None and order.until > now:
        return "renewal failed" if has_failed else "held"
    return "failed" if has_failed else "waiting"


def next_order_delay(failures: int) -> timedelta:
    """How long to wait after so many failed orders in a row: a quarter of an hour, doubling, a day at most."""
    return growing_pause(failures, first=_FIRST_DELAY, longest=_LONGEST_DELAY)
