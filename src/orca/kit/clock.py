"""A clock that is passed in, so that tests can set the time."""

from datetime import UTC, datetime
from typing import Protocol


def format_instant(at: datetime) -> str:
    """Format an instant as in the API: UTC, ending in `Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Clock(Protocol):
    """A source of the current time."""

    def now(self) -> datetime:
        """The current instant, always in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current instant in UTC."""
        return datetime.now(UTC)
