"""Identifiers that sort by time, so that a cursor is an id."""

import re
import secrets
import threading
import time
from uuid import UUID

_SLUG_JUNK = re.compile(r"[^a-z0-9]+")


_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562 section 5.7) as text: 48 bits of milliseconds, then randomness.

    Ids of one process always grow (section 6.2, method 2): within a millisecond the random part is incremented.
    """
    global _last  # noqa: PLW0603 - the order of ids is a fact of the process
    milliseconds = time.time_ns() // 1_000_000
    with _lock:
        count = secrets.randbits(73)  # one bit of the 74 is left free for increments
        _last = max(milliseconds << 74 | count, _last + 1)
        value = _last
    high, low = value >> 62, value & ((1 << 62) - 1)
    return str(UUID(int=(high >> 12) << 80 | 0x7 << 76 | (high & 0xFFF) << 64 | 0x2 << 62 | low))


def slugify(text: str, *, limit: int = 40) -> str:
    """`My App!` -> `my-app`; empty when nothing usable is left."""
    return _SLUG_JUNK.sub("-", text.lower()).strip("-")[:limit].strip("-")
