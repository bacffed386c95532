"""What becomes of a route that the proxy refused: when it is tried again, and what may stay of it until then."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from orca.kit.backoff import growing_pause
from orca.sdk.proxies import ProxyRoute

MOST_RETRIED = 5
"""Routes tried again in one look: each that is refused again holds up everybody else's changes for seconds."""
_FIRST_DELAY = timedelta(seconds=30)
_LONGEST_DELAY = timedelta(hours=1)


def next_try_delay(refusals: int) -> timedelta:
    """How long to leave a route alone after so many refusals in a row: half a minute, doubling, an hour at most."""
    return growing_pause(refusals, first=_FIRST_DELAY, longest=_LONGEST_DELAY)


def next_try_at(refusals: int, refused_at: datetime | None) -> datetime | None:
    """When a broken route is tried again; None means at the next look."""
    return refused_at + next_try_delay(refusals) if refused_at is not None else None


def what_stays(earlier: ProxyRoute, wanted: ProxyRoute, addresses: Collection[str]) -> ProxyRoute | None:
    """What the proxy may go on serving of a route whose present form it refused. `addresses`: of the live replicas.

    None when the name is another one now, when whoever should be kept out would be let in, when the certificate is
    not the one that was chosen, or when nothing of what it leads to is there any more.
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
