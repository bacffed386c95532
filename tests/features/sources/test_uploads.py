"""Uploads: streamed, bounded, hashed, and either complete under their name or not there at all."""

import asyncio
import hashlib
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator

import pytest
from tests.cancelling import CancelledAt

from orca.errors import BadInput, PayloadTooLarge
from orca.features.sources.errors import DiskReserveReached, UploadTooSlow
from orca.features.sources.uploads import UploadLimits, find_leftovers, remove_uploads, store_upload

ROOMY = UploadLimits(max_bytes=64 << 20, reserve_bytes=0)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


async def test_what_arrives_is_what_lies_there(tmp_path):
    parts = [b"a", b"", b"b" * 3_000_000, os.urandom(70_000)]
    stored = await store_upload(pieces(*parts), tmp_path / "uploads", ROOMY, None)
    assert stored.path.read_bytes() == b"".join(parts)
    assert stored.sha256 == hashlib.sha256(b"".join(parts)).hexdigest()
    assert stored.size_bytes == sum(map(len, parts))
    assert stat.S_IMODE(stored.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(stored.path.parent.stat().st_mode) == 0o700
    assert [each.name for each in stored.path.parent.iterdir()] == [f"{stored.id}.tar"]


async def test_its_partial_file_is_never_readable_by_others(tmp_path):
    modes = []

    async def watched():
        for _ in range(3):
            yield b"x" * (1 << 20)
            modes.extend(stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir())

    await store_upload(watched(), tmp_path, ROOMY, None)
    assert modes
    assert set(modes) == {0o600}


@pytest.mark.parametrize("declared", [None, 2 << 20, 5])
async def test_more_than_the_limit_is_refused_and_nothing_remains(tmp_path, declared):
    limits = UploadLimits(max_bytes=(2 << 20) - 1, reserve_bytes=0)
    with pytest.raises(PayloadTooLarge, match="1 MiB at most"):
        await store_upload(pieces(*[b"x" * 65536] * 32), tmp_path / "u", limits, declared)
    assert not (tmp_path / "u").exists() or not list((tmp_path / "u").iterdir())


async def test_store_upload_cancelled_at_any_wait_leaves_nothing(tmp_path):
    """Its threads have ended by then: none writes into a descriptor that is closed, and perhaps another file's."""
    is_cancelled, point = True, 0
    while is_cancelled:
        point += 1
        work = CancelledAt(store_upload(pieces(*[b"x" * 700_000] * 4), tmp_path / "u", ROOMY, None), point)
        (outcome,) = await asyncio.gather(work, return_exceptions=True)
        is_cancelled = isinstance(outcome, asyncio.CancelledError)
        files = [file.name for file in (tmp_path / "u").glob("*")]
        assert files == ([] if is_cancelled else [f"{outcome.id}.tar"]), point
    assert point > 5


async def test_what_is_declared_too_large_is_refused_before_a_byte_is_read(tmp_path):
    async def untouched():
        raise AssertionError("the body was read")
        yield b""

    with pytest.raises(PayloadTooLarge):
        await store_upload(untouched(), tmp_path / "u", ROOMY, (64 << 20) + 1)
    free = shutil.disk_usage(tmp_path).free
    for reserve, declared in ((free - (1 << 20), 32 << 20), (free * 2, None)):
        with pytest.raises(DiskReserveReached):
            await store_upload(untouched(), tmp_path / "u", UploadLimits(64 << 20, reserve), declared)
    assert not list((tmp_path / "u").iterdir())


async def test_an_empty_upload_is_refused(tmp_path):
    with pytest.raises(BadInput, match="empty"):
        await store_upload(pieces(b"", b""), tmp_path, ROOMY, 0)
    assert not list(tmp_path.iterdir())


async def test_a_sender_that_goes_away_or_is_cancelled_leaves_nothing(tmp_path):
    async def breaks():
        yield b"x" * (2 << 20)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await store_upload(breaks(), tmp_path, ROOMY, None)

    async def hangs():
        yield b"x" * (2 << 20)
        await asyncio.sleep(60)

    working = asyncio.create_task(store_upload(hangs(), tmp_path, ROOMY, None))
    await asyncio.sleep(0.2)
    assert list(tmp_path.iterdir())
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert not list(tmp_path.iterdir())


async def test_a_silent_sender_is_given_up(tmp_path):
    async def silent():
        yield b"x" * (2 << 20)
        await asyncio.sleep(60)

    started = time.monotonic()
    with pytest.raises(UploadTooSlow):
        await store_upload(silent(), tmp_path, UploadLimits(64 << 20, 0, silence=0.1), None)
    assert time.monotonic() - started < 5
    assert not list(tmp_path.iterdir())


async def test_an_upload_that_is_broken_off_at_any_moment_leaves_nothing(tmp_path):
    for ticks in range(60):
        sending = asyncio.create_task(store_upload(pieces(b"x" * (1 << 20), b"y"), tmp_path, ROOMY, None))
        for _ in range(ticks):
            await asyncio.sleep(0.0005)
        sending.cancel()
        await asyncio.wait({sending})
        if not sending.cancelled():
            remove_uploads(tmp_path, [sending.result().id])
    await asyncio.sleep(0.2)
    assert list(tmp_path.iterdir()) == []


async def test_leftovers_are_files_of_no_upload(tmp_path):
    known = await store_upload(pieces(b"x"), tmp_path, ROOMY, None)
    lost = await store_upload(pieces(b"x"), tmp_path, ROOMY, None)
    fresh = await store_upload(pieces(b"x"), tmp_path, ROOMY, None)
    (tmp_path / "a.part").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("not ours")
    (tmp_path / "link.tar").symlink_to("/etc/passwd")
    found = {each.name for each in find_leftovers(tmp_path, {known.id, fresh.id})}
    assert found == {lost.path.name, "a.part", "link.tar"}
    assert find_leftovers(tmp_path / "missing", set()) == []
    remove_uploads(tmp_path, [fresh.id, "gone"])
    assert not fresh.path.exists()
