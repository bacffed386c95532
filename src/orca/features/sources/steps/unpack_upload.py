"""Unpacks an uploaded archive into a new directory."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from orca.kit.cancellation import shield_until_done
from orca.sdk.archives import ArchiveLimits, Unpacked, unpack_tar


async def unpack_upload(archive: Path, into: Path, limits: ArchiveLimits | None = None) -> Unpacked:
    """Unpack a tar or tar.gz. `into` must not exist yet, its parent must.

    Raises BadArchive, UnsafePath or PayloadTooLarge, and then leaves nothing behind. A cancellation is raised only once
    the unpacking thread has ended, because its folder must not be used again before that.
    """
    stop = threading.Event()
    work = asyncio.ensure_future(asyncio.to_thread(_unpack, archive, into, limits or ArchiveLimits(), stop.is_set))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await shield_until_done(_end_of(work))
        raise


async def _end_of(work: asyncio.Future[Unpacked]) -> None:
    """Wait until the work has ended, with success or not."""
    await asyncio.wait({work})


def _unpack(archive: Path, into: Path, limits: ArchiveLimits, is_stopped: Callable[[], bool]) -> Unpacked:
    with archive.open("rb") as source:
        return unpack_tar(source, into, limits, is_stopped=is_stopped)
