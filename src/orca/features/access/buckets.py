"""Counting in memory: nobody may take the panel from everybody else, or fill its trail, by asking too often."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from orca.errors import TooOften

MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How much may come at once, and how much per second after that."""

    burst: int
    per_second: float


class Buckets:
    """One bucket per key; the longest unused are forgotten (they are full again by then)."""

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Take one token; raises TooOften when the bucket is empty."""
        self.check(key)
        self._put(key, self._level(key) - 1)

    def check(self, key: str) -> None:
        """Raise TooOften when the bucket is empty, without taking anything."""
        level = self._level(key)
        if level < 1:
            raise TooOften(
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


class Repeated:
    """Tells what happens for the first time in a while from what happens again and again, by key."""

    def __init__(self, seconds: float = 60, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, key: str) -> int | None:
        """How often it gave None since it last gave a number; None itself within so many seconds of that."""
        at, left_out = self._seen.get(key, (float("-inf"), 0))
        if self._clock() - at < self._seconds:
            self._seen[key] = (at, left_out + 1)
            return None
        self._seen[key] = (self._clock(), 0)
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_KEYS:
            self._seen.popitem(last=False)
        return left_out
