"""An upload becomes a fresh tree, or nothing."""

import io
import tarfile
from pathlib import Path

import pytest

from orca.features.sources.steps.unpack_upload import unpack_upload
from orca.sdk.archives import BadArchive, Limits, Unpacked


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
        await unpack_upload(upload, tmp_path / "other", Limits())
    assert not (tmp_path / "other").exists()
