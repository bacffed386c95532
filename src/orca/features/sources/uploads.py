"""Streams an uploaded source tree to the disk: limited in size, hashed meanwhile, stored completely or not at all."""

import asyncio
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from orca.errors import BadInput, PayloadTooLarge
from orca.features.sources.errors import DiskReserveReached, UploadTooSlow
from orca.kit.ids import new_id
from orca.kit.threads import run_in_thread

SUFFIX = ".tar"
_PARTIAL = ".part"
_BLOCK = 1 << 20
_TOTAL_SECONDS = 3600.0
LEFTOVER_SECONDS = 2 * _TOTAL_SECONDS
"""No upload takes that long, so a file that has had no row for longer is a leftover."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """The maximum size of an upload, and how much of the disk it must leave free."""

    max_bytes: int
    reserve_bytes: int
    silence: float = 30.0
    """Seconds without any data after which the upload is ended."""


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """A complete upload on the disk."""

    id: str
    path: Path
    sha256: str
    size_bytes: int


def upload_path(folder: Path, upload_id: str) -> Path:
    """Return the file of an upload."""
    return folder / f"{upload_id}{SUFFIX}"


async def store_upload(
    chunks: AsyncIterator[bytes], folder: Path, limits: UploadLimits, declared_bytes: int | None
) -> StoredUpload:
    """Write the chunks to a new file in `folder`.

    Raises PayloadTooLarge, DiskReserveReached, UploadTooSlow, BadInput (empty). On failure nothing remains.
    An upload that is too large is refused before the excess is written to the disk.
    """
    if declared_bytes is not None and declared_bytes > limits.max_bytes:
        raise _too_much(limits)
    await run_in_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    await check_space(folder, limits, declared_bytes or 0)
    upload_id = new_id()
    partial, path = folder / f"{upload_id}{_PARTIAL}", upload_path(folder, upload_id)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        async with asyncio.timeout(_TOTAL_SECONDS):
            sha256, size = await _write(chunks, descriptor, folder, limits)
        await run_in_thread(_settle, descriptor, partial, path)
    except BaseException as error:
        for file in (partial, path):
            file.unlink(missing_ok=True)
        if isinstance(error, TimeoutError):
            hint = "Check the connection and send it again."
            raise UploadTooSlow("the upload stopped arriving", hint=hint) from None
        raise
    finally:
        os.close(descriptor)
    return StoredUpload(upload_id, path, sha256, size)


async def _write(chunks: AsyncIterator[bytes], descriptor: int, folder: Path, limits: UploadLimits) -> tuple[str, int]:
    hasher, size = hashlib.sha256(), 0
    async with aclosing(_blocks(chunks, limits.silence)) as blocks:
        async for block in blocks:
            size += len(block)
            if size > limits.max_bytes:
                raise _too_much(limits)
            await check_space(folder, limits, len(block))
            await run_in_thread(_append, descriptor, hasher, block)
    if size == 0:
        raise BadInput("the upload is empty", hint="Send a tar archive of the source tree.")
    return hasher.hexdigest(), size


async def _blocks(chunks: AsyncIterator[bytes], silence: float) -> AsyncGenerator[bytes, None]:
    """Yield the chunks joined into blocks, so that many small chunks do not cause many writes."""
    buffer = bytearray()
    iterator = aiter(chunks)
    while True:
        async with asyncio.timeout(silence):
            chunk = await anext(iterator, None)
        if chunk is None:
            break
        buffer += chunk
        if len(buffer) >= _BLOCK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


def _append(descriptor: int, hasher: "hashlib._Hash", block: bytes) -> None:
    hasher.update(block)
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


def _settle(descriptor: int, partial: Path, path: Path) -> None:
    """Sync the file to disk and rename it to its final name."""
    os.fsync(descriptor)
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def check_space(folder: Path, limits: UploadLimits, wanted: int) -> None:
    """Raise DiskReserveReached when less than the reserve would stay free."""
    usage = await asyncio.to_thread(shutil.disk_usage, folder)
    if usage.free - wanted < limits.reserve_bytes:
        raise DiskReserveReached(
            f"there is no room for the upload: {usage.free >> 20} MiB are free on the server",
            hint=f"Free some disk space; {limits.reserve_bytes >> 20} MiB are kept free (ORC_DISK_RESERVE_MB).",
        )


def _too_much(limits: UploadLimits) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"an upload may have {limits.max_bytes >> 20} MiB at most",
        hint="Leave out build output and data with .dockerignore or .gitignore, or raise ORC_DISK_UPLOAD_LIMIT_MB.",
    )


def remove_uploads(folder: Path, upload_ids: Collection[str]) -> None:
    """Remove the files of these uploads; a missing one is no error. Blocking."""
    for upload_id in upload_ids:
        upload_path(folder, upload_id).unlink(missing_ok=True)


def find_leftovers(folder: Path, known_ids: Collection[str]) -> list[Path]:
    """Return files without an upload row that are not being written: left by a crash or a deleted service. Blocking."""
    leftovers = []
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            name = Path(entry.name)
            if name.suffix not in {SUFFIX, _PARTIAL} or (name.suffix == SUFFIX and name.stem in known_ids):
                continue
            if not _is_being_written(folder / name):
                leftovers.append(folder / name)
    return leftovers


def _is_being_written(path: Path) -> bool:
    """Whether a writer holds the lock on the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # gone, or not a file of ours
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def list_folders(folder: Path) -> list[Path]:
    """Return the entries of a folder; empty when it is missing. Blocking."""
    with suppress(FileNotFoundError):
        return list(folder.iterdir())
    return []
