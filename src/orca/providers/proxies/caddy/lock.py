"""One writer per proxy, among the tasks of one process and among the processes of one machine."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from orca.errors import ProviderUnavailable

_POLL = 0.02


@asynccontextmanager
async def file_lock(path: Path, *, deadline: float) -> AsyncIterator[None]:
    """Lock `path` exclusively; the kernel releases it when the process dies. Raises ProviderUnavailable on timeout."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            async with asyncio.timeout(deadline):
                while True:
                    if _try_lock(handle):
                        break
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise ProviderUnavailable(
                f"Another process has been changing the proxy for more than {deadline:g} seconds.",
                hint="Try again; if it goes on, look for a second Orca that uses the same data directory.",
            ) from None
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
