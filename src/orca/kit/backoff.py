"""Pauses that grow with each failure in a row."""

from datetime import timedelta

_MOST_DOUBLINGS = 12


def growing_pause(failures: int, *, first: timedelta, longest: timedelta) -> timedelta:
    """Return the pause after `failures` failures: `first`, doubled with each further one, at most `longest`."""
    doublings = min(max(failures - 1, 0), _MOST_DOUBLINGS)
    return min(first * (1 << doublings), longest)
