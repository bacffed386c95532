"""When a certificate may be served, when it needs a warning, and how long a failed preflight is paused."""

from datetime import datetime, timedelta

from orca.features.routing.rules.hostnames import covers, is_public, is_wildcard
from orca.kit.backoff import growing_pause

WARN_BEFORE = timedelta(days=14)
_FIRST_DELAY = timedelta(minutes=1)
_LONGEST_DELAY = timedelta(hours=6)


def certifies(names: list[str], hostname: str) -> bool:
    """Whether a certificate with these names is valid for the hostname; a wildcard needs the same wildcard."""
    return any(covers(name, hostname) for name in names)


def default_tls(hostname: str, *, has_dns: bool = False) -> str:
    """Return `acme` for names that a public authority can certify, else `internal`; a wildcard needs proof by DNS."""
    return "acme" if is_public(hostname) and (has_dns or not is_wildcard(hostname)) else "internal"


def is_expiring(not_after: datetime, now: datetime) -> bool:
    """Whether a certificate ends soon enough for a warning."""
    return not_after - now < WARN_BEFORE


def next_check_delay(failures: int) -> timedelta:
    """Return the pause after so many failed preflights: a minute, doubling, six hours at most."""
    return growing_pause(failures, first=_FIRST_DELAY, longest=_LONGEST_DELAY)
