"""Rate limits in memory: no client can block the panel for others, or fill the audit trail, by many requests."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from orca.errors import RateLimited
from orca.features.identity.rules import Limit

MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests may come at once, and how many per second after that."""

    burst: int
    per_second: float


_EACH = Rate(600, 10)
_REFUSED = Rate(120, 2)
_CLAIM = Limit(30, 60, ceiling=900)
_PUSHES = Rate(600, 10)
_UNSIGNED = Rate(60, 1)
_REVEAL = Limit(20, 3600)


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Rate limits of requests. Those of type `Rate` are counted in memory, the others in the database."""

    each: Rate = _EACH
    """All requests of one subject, or of one address for requests without a subject."""
    refused: Rate = _REFUSED
    """Requests without valid credentials, per address."""
    open_streams: int = 120
    """Open streams of one user, in all tabs and by all tokens together."""
    open_runs: int = 10
    """Open streams of one user that keep something running, such as one-off commands."""
    claim: Limit = _CLAIM
    pushes: Rate = _PUSHES
    """Signed deliveries at one hook; unsigned ones do not count."""
    unsigned: Rate = _UNSIGNED
    """Stored refusals of unsigned deliveries at one hook."""
    reveal: Limit = _REVEAL


class Buckets:
    """One token bucket per key; the longest unused ones are dropped (they are full again by then)."""

    def __init__(self, pace: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Take one token; raises RateLimited when the bucket is empty."""
        self.check(key)
        self._put(key, self._level(key) - 1)

    def check(self, key: str) -> None:
        """Raise RateLimited when the bucket is empty, without taking anything."""
        level = self._level(key)
        if level < 1:
            raise RateLimited(
                "Too many requests.", hint="Slow down.", retry_after=ceil((1 - level) / self._pace.per_second)
            )

    def _level(self, key: str) -> float:
        level, at = self._levels.get(key, (float(self._pace.burst), self._clock()))
        return min(float(self._pace.burst), level + (self._clock() - at) * self._pace.per_second)

    def _put(self, key: str, level: float) -> None:
        self._levels[key] = (level, self._clock())
        self._levels.move_to_end(key)
        if len(self._levels) > MAX_KEYS:
            self._levels.popitem(last=False)


class RepeatCounter:
    """Suppresses repetitions of an event within some seconds, by key, and counts them."""

    def __init__(self, seconds: float = 60, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, key: str) -> int | None:
        """Return the number of suppressed repetitions, or None when this one must be suppressed as well."""
        at, left_out = self._seen.get(key, (float("-inf"), 0))
        if self._clock() - at < self._seconds:
            self._seen[key] = (at, left_out + 1)
            return None
        self._seen[key] = (self._clock(), 0)
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_KEYS:
            self._seen.popitem(last=False)
        return left_out
