"""Parses and formats instants and durations."""

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def parse_moment(text: str) -> datetime:
    """Parse an instant of the API; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ago(text: str | None, now: datetime | None = None) -> str:
    """Format as `3 min ago`; a dash for never. Future instants are rounded, as in `in 3 days`."""
    if text is None:
        return "—"
    seconds = ((now or datetime.now(UTC)) - parse_moment(text)).total_seconds()
    amount = _roughly(seconds) if seconds > 0 else _roughly(-seconds, more=0.5)
    return "just now" if amount == "0 s" else f"{amount} ago" if seconds > 0 else f"in {amount}"


def duration(started: str | None, finished: str | None, now: datetime | None = None) -> str:
    """Format the time between two instants as `4.1 s` or `2 min 5 s`; up to now if unfinished, empty if not started."""
    if started is None:
        return ""
    end = parse_moment(finished) if finished else now or datetime.now(UTC)
    return show_seconds(max((end - parse_moment(started)).total_seconds(), 0))


def show_seconds(seconds: float) -> str:
    """Format a duration; below a minute to a tenth of a second."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s"


def _roughly(seconds: float, more: float = 0) -> str:
    for size, unit in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            amount = int(seconds / size + more)
            return f"{amount} {'day' if unit == 'days' and amount == 1 else unit}"
    return f"{int(seconds)} s"
