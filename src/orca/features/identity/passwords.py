"""Argon2id (RFC 9106) in threads, a few at a time: hashing is slow on purpose and must not block other requests."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from orca.errors import RateLimited

T = TypeVar("T")
MEMORY_KIB = 46 * 1024
PASSES = 2
LANES = 1
AT_ONCE = 2
MAX_WAITING = 32

_argon2 = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID)


def _random(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()


ABSENT_HASH = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${_random(16)}${_random(32)}"
"""Used for unknown accounts. No password matches it, and checking it takes as long as for a real hash."""


class _Queue:
    """A bounded queue in front of the hashing threads, shared by all event loops."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0

    async def run(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= MAX_WAITING:
            raise RateLimited("Too many passwords are being checked.", hint="Try again in a moment.", retry_after=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1


_queue = _Queue()


async def hash_password(password: str) -> str:
    """Return the encoded hash to store. Call it outside of transactions: it takes a tenth of a second."""
    return await _queue.run(_argon2.hash, password)


async def is_password(stored: str | None, password: str) -> bool:
    """Whether the password matches the stored hash; without one, it takes the same time."""
    return await _queue.run(_verify, stored or ABSENT_HASH, password)


def is_outdated(stored: str) -> bool:
    """Whether a hash was created with other than the current parameters."""
    return _argon2.check_needs_rehash(stored)


def _verify(stored: str, password: str) -> bool:
    try:
        return _argon2.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
