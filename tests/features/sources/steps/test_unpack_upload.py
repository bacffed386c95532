"""An upload becomes a fresh tree, or nothing."""

import asyncio
import io
import tarfile
import time
from pathlib import Path

import pytest

from orca.features.sources.steps.unpack_upload import unpack_upload
from orca.sdk.archives import ArchiveLimits, BadArchive, Unpacked


async def test_an_upload_is_unpacked_or_leaves_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("index.html")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    upload = tmp_path / "upload"
    upload.write_bytes(buffer.getvalue())
    assert await unpack_upload(upload, tmp_path / "tree") == Unpacked(files=1, total_bytes=5)
    assert (tmp_path / "tree" / "index.html").read_text() == "hello"
    upload.write_bytes(buffer.getvalue()[:40])
    with pytest.raises(BadArchive):
        await unpack_upload(upload, tmp_path / "other", ArchiveLimits())
    assert not (tmp_path / "other").exists()


def many_files(archive: Path, count: int) -> Path:
    with tarfile.open(archive, mode="w") as tar:
        for number in range(count):
            tar.addfile(tarfile.TarInfo(f"d{number % 50}/f{number}"))
    return archive


@pytest.mark.slow
@pytest.mark.parametrize("impatience", [1, 3])
async def test_a_deadline_ends_the_thread_too_before_it_goes_on(tmp_path: Path, impatience: int) -> None:
    archive = await asyncio.to_thread(many_files, tmp_path / "upload", 40_000)
    working = asyncio.create_task(unpack_upload(archive, tmp_path / "tree"))
    await asyncio.sleep(0.3)
    assert (tmp_path / "tree").exists()
    started = time.monotonic()
    for _ in range(impatience):
        working.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await working
    assert time.monotonic() - started < 5
    assert not (tmp_path / "tree").exists()
    await asyncio.sleep(0.2)
    assert not (tmp_path / "tree").exists(), "the thread goes on"
