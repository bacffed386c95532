"""When a certificate may be served, when it is worth a warning, and how patient ordering one is."""

from datetime import datetime, timedelta

from orca.features.routing.rules.hostnames import covers, is_public, is_wildcard
from orca.kit.backoff import growing_pause

WARN_BEFORE = timedelta(days=14)
_FIRST_DELAY = timedelta(minutes=1)
_LONGEST_DELAY = timedelta(hours=6)


def certifies(names: list[str], hostname: str) -> bool:
    """Whether a certificate with these names may be shown for the hostname; a wildcard needs the same wildcard."""
    return any(covers(name, hostname) for name in names)


def default_tls(hostname: str) -> str:
    """`acme` for names that a public authority can certify over HTTP, else `internal`."""
    return "acme" if is_public(hostname) and not is_wildcard(hostname) else "internal"


def is_expiring(not_after: datetime, now: datetime) -> bool:
    """Whether somebody should be told."""
    return not_after - now < WARN_BEFORE


def next_check_delay(failures: int) -> timedelta:
    """How long to wait after so many failed preflights: a minute, doubling, six hours at most."""
    return growing_pause(failures, first=_FIRST_DELAY, longest=_LONGEST_DELAY)
