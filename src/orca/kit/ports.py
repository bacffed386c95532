"""Suggests a port instead of one that is taken."""

from collections.abc import Collection


def find_free(port: int, taken: Collection[int]) -> int:
    """Return a port that is not in `taken` and resembles `port`: 8080 for 80, 8443 for 443. Pure."""
    return next(other for other in range(8000 + port % 1000, 65536) if other not in taken)
