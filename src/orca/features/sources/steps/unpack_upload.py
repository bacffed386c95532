"""Puts an uploaded archive into a fresh directory."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from orca.kit.cancellation import see_through
from orca.sdk.archives import Limits, Unpacked, unpack_tar


async def unpack_upload(archive: Path, into: Path, limits: Limits | None = None) -> Unpacked:
    """Unpack a tar or tar.gz. `into` must not exist yet, its parent must.

    Raises BadArchive, UnsafePath or TooMuch, and leaves nothing behind then. A cancellation goes on when the thread
    that unpacks has ended: nobody may take its place, or its folder, before.
    """
    stop = threading.Event()
    work = asyncio.ensure_future(asyncio.to_thread(_unpack, archive, into, limits or Limits(), stop.is_set))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await see_through(_end_of(work))
        raise


async def _end_of(work: asyncio.Future[Unpacked]) -> None:
    """Until it ended, whatever became of it."""
    await asyncio.wait({work})


def _unpack(archive: Path, into: Path, limits: Limits, is_stopped: Callable[[], bool]) -> Unpacked:
    with archive.open("rb") as source:
        return unpack_tar(source, into, limits, is_stopped=is_stopped)
