"""The engine's own build cache, shared with others: what our builds made goes, what others made stays."""

import asyncio
import secrets
import subprocess
from pathlib import Path

import pytest

from orca.sdk.caches import choose_records

FOREIGN_BYTES, OUR_BYTES = (size + secrets.randbelow(1 << 20) for size in (3 << 20, 5 << 20))
"""Sizes that identify the records of this test, whatever else is built on this engine."""


def build(folder: Path, size: int) -> None:
    """As a person builds; nothing of the image stays but its cache."""
    folder.mkdir()
    (folder / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (folder / "busybox").chmod(0o755)
    command = f"/b/busybox dd if=/dev/zero of=/big bs={size} count=1 # {secrets.token_hex(8)}"
    (folder / "Dockerfile").write_text(
        f'FROM scratch\nCOPY busybox /b/busybox\nRUN ["/b/busybox", "sh", "-c", "{command}"]\n'
    )
    tag = f"orca-test-{secrets.token_hex(4)}"
    for argv in (["build", "-q", "-t", tag, str(folder)], ["rmi", tag]):
        subprocess.run(
            ["/usr/bin/docker", *argv], env={"DOCKER_BUILDKIT": "1", "HOME": str(folder)}, check=True,
            capture_output=True, timeout=120,
        )  # fmt: skip


@pytest.mark.slow
async def test_our_cache_goes_and_what_others_made_stays(host, tmp_path):
    await asyncio.to_thread(build, tmp_path / "foreign", FOREIGN_BYTES)
    foreign = {each.id: each.size_bytes for each in await host.list_cache()}
    assert FOREIGN_BYTES in foreign.values()
    await asyncio.to_thread(build, tmp_path / "ours", OUR_BYTES)
    mine = [each.id for each in await host.list_cache() if each.size_bytes == OUR_BYTES]
    assert not set(mine) & foreign.keys()
    before = {each.id: each for each in await host.list_cache()}
    await host.remove_cache(["", ".*", "x)$/"])  # no ids
    chosen = choose_records(before.values(), dict.fromkeys(mine, True), 0)
    await host.remove_cache(chosen)
    left = {each.id for each in await host.list_cache()}
    assert not left & set(chosen)
    assert sum(before[each].size_bytes for each in chosen) >= OUR_BYTES
    assert {name for name, size in foreign.items() if size == FOREIGN_BYTES} <= left


async def test_an_image_is_measured_by_what_only_it_holds(host, instance, make_image):
    made = make_image(f"LABEL orca.instance={instance}")
    (image,) = await host.list_images({})
    assert image.id == made
    assert 1 << 17 <= (await host.measure_images())[made] <= image.size_bytes
