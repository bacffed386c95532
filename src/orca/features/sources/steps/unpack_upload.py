"""Puts an uploaded archive into a fresh directory."""

import asyncio
from pathlib import Path

from orca.sdk.archives import Limits, Unpacked, unpack_tar


async def unpack_upload(archive: Path, into: Path, limits: Limits | None = None) -> Unpacked:
    """Unpack a tar or tar.gz. `into` must not exist yet, its parent must.

    Raises BadArchive, UnsafePath or TooMuch, and leaves nothing behind then.
    """
    return await asyncio.to_thread(_unpack, archive, into, limits or Limits())


def _unpack(archive: Path, into: Path, limits: Limits) -> Unpacked:
    with archive.open("rb") as source:
        return unpack_tar(source, into, limits)
