"""Identifiers that sort by time, so that a cursor is an id."""

import re
import secrets
import time
from uuid import UUID

_SLUG_JUNK = re.compile(r"[^a-z0-9]+")


def new_id() -> str:
    """A UUIDv7 (RFC 9562 section 5.7) as text: 48 bits of milliseconds, then randomness."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=value))


def slugify(text: str, *, limit: int = 40) -> str:
    """`My App!` -> `my-app`; empty when nothing usable is left."""
    return _SLUG_JUNK.sub("-", text.lower()).strip("-")[:limit].strip("-")
