"""When a certificate is ordered, how an order can fail, and how long to wait after a failure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from orca.kit.backoff import growing_pause

Failure = Literal["refused", "unreachable", "rate-limited", "unproven", "unusable", "unexpected"]
"""In this order: the authority refused; it could not be reached; it limits the rate; the proof could not be published
in the DNS; the issued certificate cannot be served; an error in Orca itself. A cancelled order is none of these.
"""

_PAUSES: dict[Failure, tuple[timedelta, timedelta]] = {
    # Public authorities take about five failed validations an hour for a name.
    "refused": (timedelta(minutes=15), timedelta(days=1)),
    "unreachable": (timedelta(minutes=1), timedelta(hours=1)),
    "rate-limited": (timedelta(hours=1), timedelta(days=1)),
    "unproven": (timedelta(minutes=5), timedelta(hours=6)),
    # It counts as issued there: some authorities issue the same name five times a week.
    "unusable": (timedelta(hours=1), timedelta(days=1)),
    "unexpected": (timedelta(minutes=5), timedelta(hours=6)),
}
_LONGEST_OBEYED = timedelta(days=8)
"""The longest window of a public authority's limits is a week."""
_TOLD = {
    "refused": "the authority refused it",
    "unreachable": "the authority could not be asked",
    "rate-limited": "the authority takes no more orders for now",
    "unproven": "the proof could not be shown in the DNS",
    "unusable": "what the authority issued cannot be used",
    "unexpected": "Orca itself failed",
}


@dataclass(eq=False)  # frozen would refuse the traceback that `contextlib` sets
class OrderFailed(Exception):
    """An order that ended without a certificate."""

    kind: Failure
    reason: str
    retry_after: timedelta | None = None
    """The pause that the authority requested."""

    def __str__(self) -> str:
        """Return the failure as a sentence for users."""
        return f"{_TOLD[self.kind]}: {self.reason}" if self.reason else _TOLD[self.kind]


class AccountLost(OrderFailed):
    """The authority does not accept our account any more; a new account may work."""


@dataclass(frozen=True, slots=True)
class HeldCertificate:
    """The certificate that a name has."""

    issued_at: datetime
    not_after: datetime
    directory_url: str


def is_order_due(held: HeldCertificate | None, directory_url: str, now: datetime) -> bool:
    """Whether a name needs a new certificate: none yet, another authority, or at most a third of its life left."""
    if held is None or held.directory_url != directory_url:
        return True
    return now >= held.not_after - (held.not_after - held.issued_at) / 3


def next_order_delay(failure: OrderFailed, failures: int) -> timedelta:
    """Return the pause after so many failed orders in a row."""
    first, longest = _PAUSES[failure.kind]
    pause = growing_pause(failures, first=first, longest=longest)
    return max(pause, min(failure.retry_after, _LONGEST_OBEYED)) if failure.retry_after else pause


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Parse a Retry-After header (RFC 9110, 10.2.3): seconds or a date; None for neither, or a time in the past."""
    if not value:
        return None
    try:
        if value.strip().isascii() and value.strip().isdigit():
            seconds = float(value[:12])
        else:
            date = parsedate_to_datetime(value[:64])
            seconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return timedelta(seconds=min(seconds, _LONGEST_OBEYED.total_seconds())) if seconds > 0 else None
