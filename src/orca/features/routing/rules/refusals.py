"""Rules for routes that the proxy refused: when they are retried, and what may still be served of them until then."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from orca.kit.backoff import growing_pause
from orca.sdk.proxies import ProxyRoute

MOST_RETRIED = 5
"""Routes retried in one run: each that is refused again delays all other changes for seconds."""
_FIRST_DELAY = timedelta(seconds=30)
_LONGEST_DELAY = timedelta(hours=1)


def next_try_delay(refusals: int) -> timedelta:
    """Return the pause after so many refusals in a row: half a minute, doubling, an hour at most."""
    return growing_pause(refusals, first=_FIRST_DELAY, longest=_LONGEST_DELAY)


def next_try_at(refusals: int, refused_at: datetime | None) -> datetime | None:
    """Return when a broken route is retried; None means in the next run."""
    return refused_at + next_try_delay(refusals) if refused_at is not None else None


def what_stays(earlier: ProxyRoute, wanted: ProxyRoute, addresses: Collection[str]) -> ProxyRoute | None:
    """Return the earlier form of a refused route that may still be served. `addresses`: those of the live replicas.

    None when hostname or path changed, when access rules (passwords, addresses, maintenance) or the certificate
    differ, or when none of its upstreams exists any more.
    """
    if (earlier.hostname, earlier.path_prefix) != (wanted.hostname, wanted.path_prefix):
        return None
    if _admission(earlier) != _admission(wanted):
        return None
    if earlier.tls not in {"off", "internal"} and _certificate(earlier) != _certificate(wanted):
        return None
    upstreams = tuple(upstream for upstream in earlier.upstreams if upstream.host in addresses)
    if earlier.upstreams and not upstreams:
        return None
    return replace(earlier, upstreams=upstreams)


def _admission(route: ProxyRoute) -> tuple[object, ...]:
    return route.basic_auth, route.allow_ips, route.maintenance


def _certificate(route: ProxyRoute) -> tuple[object, ...]:
    return route.tls, route.certificate_id
