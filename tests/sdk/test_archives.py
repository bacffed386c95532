"""FIL-02: archives that try to leave, to fill the disk, or to smuggle special files."""

import gzip
import io
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orca.errors import OrcaError, PayloadTooLarge
from orca.sdk.archives import ArchiveLimits, BadArchive, Unpacked, UnpackingStopped, unpack_tar
from orca.sdk.trees import UnsafePath

Builder = Callable[[tarfile.TarFile], None]


def archive(build: Builder, fmt: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=fmt) as tar:
        build(tar)
    return buffer.getvalue()


def member(
    name: str, data: bytes = b"data", kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> Builder:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return lambda tar: tar.addfile(info, io.BytesIO(data))


def members(*builders: Builder) -> Builder:
    def build(tar: tarfile.TarFile) -> None:
        for builder in builders:
            builder(tar)

    return build


def unpack(data: bytes, into: Path, limits: ArchiveLimits | None = None) -> Unpacked:
    return unpack_tar(io.BytesIO(data), into, limits or ArchiveLimits())


def test_unpacks_files_folders_links_and_long_names(tmp_path: Path) -> None:
    long = "/".join(["folder" * 10] * 5) + "/file.txt"
    tree = members(
        member("./", kind=tarfile.DIRTYPE),
        member("./run.sh", b"#!/bin/sh\n", mode=0o777),
        member("./src/deep/main.py", b"x" * 100_000),
        member("./link", kind=tarfile.SYMTYPE, link="src/deep/main.py"),
        member("./folder-link", kind=tarfile.SYMTYPE, link="./src/../src"),
        member("./dangling", kind=tarfile.SYMTYPE, link="nowhere"),
        member(long, b"long"),
        member("./Screenshot 3.45\u202fPM — ümläut.png", b"png"),
    )
    for number, fmt in enumerate((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)):
        into = tmp_path / str(number)
        packed = archive(tree, fmt)
        assert unpack(gzip.compress(packed) if number else packed, into) == Unpacked(files=4, total_bytes=100_017)
        assert (into / "link").read_bytes() == b"x" * 100_000
        assert (into / long).read_text() == "long"
        assert (into / "run.sh").stat().st_mode & 0o7777 == 0o755
        assert (into / "src/deep/main.py").stat().st_mode & 0o7777 == 0o644
        assert (into / "folder-link").readlink() == Path("src/../src")
        assert (into / "Screenshot 3.45\u202fPM — ümläut.png").exists()


def test_unpacks_what_git_and_tar_make(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("a")
    (source / ("n" * 150)).write_text("long")
    for command in (
        ["git", "-C", str(source), "init", "-q"],
        ["git", "-C", str(source), "add", "."],
        ["git", "-C", str(source), "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "x"],
    ):
        subprocess.run(command, check=True)
    made = subprocess.run(["git", "-C", str(source), "archive", "HEAD"], check=True, capture_output=True).stdout
    assert unpack(made, tmp_path / "git").files == 2
    made = subprocess.run(
        ["tar", "-C", str(source), "--exclude=.git", "-czf", "-", "."], check=True, capture_output=True
    ).stdout
    assert unpack(made, tmp_path / "tar").files == 2


HOSTILE: dict[str, Builder] = {
    "absolute": member("/etc/cron.d/x"),
    "dotdot": member("../evil"),
    "dotdot inside": member("a/../../evil"),
    "backslash": member("..\\evil"),
    "newline": member("a\nb"),
    "right to left": member("a\u202eb"),
    "link out": member("evil", kind=tarfile.SYMTYPE, link="../evil"),
    "absolute link": member("evil", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    "dangling link out": member("evil", kind=tarfile.SYMTYPE, link="nowhere/../../../evil"),
    "link then file": members(member("d", kind=tarfile.SYMTYPE, link="/tmp"), member("d/evil")),
    "link then file inside": members(member("d", kind=tarfile.SYMTYPE, link="."), member("d/evil")),
    "link by link": members(
        member("sub/a", kind=tarfile.SYMTYPE, link=".."),
        member("sub/b", kind=tarfile.SYMTYPE, link="a/../evil"),
    ),
    "file then below": members(member("d"), member("d/evil")),
    "hard link": members(member("a"), member("b", kind=tarfile.LNKTYPE, link="a")),
    "hard link out": member("b", kind=tarfile.LNKTYPE, link="/etc/passwd"),
    "character device": member("null", kind=tarfile.CHRTYPE),
    "block device": member("disk", kind=tarfile.BLKTYPE),
    "pipe": member("pipe", kind=tarfile.FIFOTYPE),
    "sparse": member("sparse", kind=tarfile.GNUTYPE_SPARSE),
    "setuid": member("su", mode=0o4755),
    "setgid": member("sg", mode=0o2755),
    "duplicate": members(member("a"), member("a")),
    "duplicate by dot": members(member("a"), member("./a")),
    "file over link": members(member("a", kind=tarfile.SYMTYPE, link="b"), member("a")),
    "folder over file": members(member("a"), member("a", kind=tarfile.DIRTYPE)),
    "link chain": members(
        member("l0", kind=tarfile.SYMTYPE, link="l60"),
        *(member(f"l{n}", kind=tarfile.SYMTYPE, link=f"l{n - 1}") for n in range(1, 61)),
    ),
    "deep": member("/".join(["a"] * 100)),
    "empty name": member(""),
}


@pytest.mark.parametrize("fmt", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_and_leave_nothing(case: str, fmt: int, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises((BadArchive, UnsafePath)) as caught:
        unpack(archive(HOSTILE[case], fmt), home / "tree")
    assert caught.value.hint
    assert list(tmp_path.rglob("*")) == [home]


def test_a_pax_path_cannot_overrule_the_checks(tmp_path: Path) -> None:
    def build(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("innocent")
        info.pax_headers = {"path": "../evil"}
        tar.addfile(info)

    with pytest.raises(UnsafePath):
        unpack(archive(build), tmp_path / "tree")


def test_global_records_cannot_rename(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "../evil"}) as tar:
        member("a")(tar)
    with pytest.raises(BadArchive):
        unpack(buffer.getvalue(), tmp_path / "tree")


def test_a_million_entries_are_refused_quickly(tmp_path: Path) -> None:
    one = archive(member("x", b""))[:512]
    folder = bytearray(one)

    def header(number: int) -> bytes:
        folder[:100] = f"f{number}".encode().ljust(100, b"\0")
        folder[148:156] = b" " * 8
        folder[148:156] = b"%06o\0 " % sum(folder)
        return bytes(folder)

    data = b"".join(header(number) for number in range(60_000)) + bytes(1024)
    started = time.monotonic()
    with pytest.raises(PayloadTooLarge):
        unpack(data, tmp_path / "tree", ArchiveLimits(entries=5_000))
    assert time.monotonic() - started < 10
    assert not (tmp_path / "tree").exists()


def test_directories_count_as_entries(tmp_path: Path) -> None:
    packed = archive(members(*(member(f"a{n}/b/c/d/e/f", b"") for n in range(30))))
    with pytest.raises(PayloadTooLarge):
        unpack(packed, tmp_path / "tree", ArchiveLimits(entries=100))


def test_bombs_stop_at_the_limit(tmp_path: Path) -> None:
    bomb = gzip.compress(archive(member("zeros", bytes(64 << 20))))
    assert len(bomb) < 1 << 17
    with pytest.raises(PayloadTooLarge):
        unpack(bomb, tmp_path / "tree", ArchiveLimits(total_bytes=1 << 20))
    liar = bytearray(archive(member("huge")))
    liar[124:136] = b"77777777777\0"
    liar[148:156] = b" " * 8
    liar[148:156] = b"%06o\0 " % sum(liar[:512])
    with pytest.raises(PayloadTooLarge):
        unpack(bytes(liar), tmp_path / "tree")
    padding = gzip.compress(archive(member("metadata", kind=tarfile.DIRTYPE))[:512] + bytes(8 << 20))
    unpack(padding, tmp_path / "tree", ArchiveLimits(total_bytes=1 << 20))


def test_truncated_and_foreign_data_are_refused(tmp_path: Path) -> None:
    whole = archive(members(member("a", b"x" * 2000), member("b")))
    for cut in (0, 1, 100, 512, 1500, 3000):
        with pytest.raises(BadArchive):
            unpack(whole[:cut], tmp_path / "tree")
    for data in (b"PK\x03\x04" + bytes(1000), b"\x1f\x8bnonsense" * 100, b"hello" * 500):
        with pytest.raises(BadArchive):
            unpack(data, tmp_path / "tree")


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 2047), value=st.integers(0, 255), tail=st.binary(max_size=64))
def test_any_damage_ends_in_a_stated_refusal_or_a_clean_tree(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, tail: bytes
) -> None:
    home = tmp_path_factory.mktemp("damage")
    data = bytearray(
        archive(members(member("a/b", b"x"), member("l", kind=tarfile.SYMTYPE, link="a/b")), tarfile.GNU_FORMAT)
    )
    data[position] = value
    try:
        unpack(bytes(data) + tail, home / "tree")
    except OrcaError:
        assert not (home / "tree").exists()
    assert [path.name for path in home.iterdir()] in ([], ["tree"])


def metadata(kind: bytes, data: bytes) -> bytes:
    """One metadata header with its record, as it lies in a tar."""
    header = bytearray(512)
    header[:9], header[156:157], header[257:265] = b"././@meta", kind, b"ustar\x0000"
    header[124:136] = b"%011o\0" % len(data)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


def records(count: int) -> bytes:
    return b"".join(b"8 k=%03d\n" % (number % 1000) for number in range(count))


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
@pytest.mark.parametrize("size", [8000 * 8, 8], ids=["large", "small"])
def test_metadata_without_end_is_refused_at_once(kind: bytes, size: int, tmp_path: Path) -> None:
    data = metadata(kind, records(size // 8) if kind in b"xg" else b"n" * size) * (640 if size > 8 else 40_000)
    packed = gzip.compress(data, 1)
    started = time.monotonic()
    with pytest.raises((BadArchive, PayloadTooLarge)):
        unpack(packed, tmp_path / "tree")
    assert time.monotonic() - started < 1
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize("kind", [b"x", b"L"])
def test_metadata_counts_as_bytes(kind: bytes, tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(60)]
    record = dict.fromkeys(names, records(90)) if kind == b"x" else {name: name.encode() * 60 for name in names}
    described = b"".join(metadata(kind, record[name]) + archive(member(name, b""))[:512] for name in names)
    with pytest.raises(PayloadTooLarge):
        unpack(
            described + bytes(1024), tmp_path / "tree", ArchiveLimits(total_bytes=sum(map(len, record.values())) // 2)
        )


def test_metadata_is_no_entry_of_its_own_and_yet_bounded(tmp_path: Path) -> None:
    """Python's `tarfile` describes each file by a record of its own as soon as its time has a fraction."""

    def build(tar: tarfile.TarFile) -> None:
        for number in range(60):
            info = tarfile.TarInfo(f"f{number}")
            info.mtime = number + 0.5
            tar.addfile(info)

    described = archive(build)
    assert described.count(b" mtime=") == 60
    assert unpack(described, tmp_path / "whole", ArchiveLimits(entries=60)).files == 60
    with pytest.raises(PayloadTooLarge):
        unpack(described, tmp_path / "tree", ArchiveLimits(entries=59))
    one = metadata(b"x", records(1))
    files = [archive(member(f"f{number}", b""))[:512] for number in range(2)]
    full = b"".join(one * 3 + file for file in files)
    assert unpack(full + bytes(1024), tmp_path / "full", ArchiveLimits(entries=2)).files == 2
    with pytest.raises(PayloadTooLarge):
        unpack(full + one + bytes(1024), tmp_path / "tree", ArchiveLimits(entries=2))


def test_long_names_and_targets_of_both_kinds_still_fit(tmp_path: Path) -> None:
    long = "/".join(["folder" * 10] * 4)
    tree = members(
        member(f"{long}/file", b"x"),
        *(member(f"{long}/link{n}", kind=tarfile.SYMTYPE, link="x" * 200) for n in range(9)),
    )
    for fmt in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert unpack(archive(tree, fmt), tmp_path / str(fmt)).files == 1


def test_records_at_the_edge_of_the_limit_are_read(tmp_path: Path) -> None:
    plain = archive(member("a"))
    assert unpack(metadata(b"x", records(100)) + plain, tmp_path / "whole").files == 1
    with pytest.raises(BadArchive):
        unpack(metadata(b"x", records(101)) + plain, tmp_path / "more")
    for damaged in (b"7 k=v\n", b" k=v\n", b"x k=v\n", b"0 k=v\n", b"9", b"9" * 30 + b" k=v\n"):
        with pytest.raises(BadArchive):
            unpack(metadata(b"x", damaged) + plain, tmp_path / "damaged")


@pytest.mark.parametrize("after", [0, 3, 50])
def test_unpacking_stops_when_it_is_told_to_and_leaves_nothing(after: int, tmp_path: Path) -> None:
    asked = 0

    def is_stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    data = archive(members(*(member(f"f{n}", b"x" * 600_000) for n in range(30))))
    with pytest.raises(UnpackingStopped):
        unpack_tar(io.BytesIO(data), tmp_path / "tree", ArchiveLimits(), is_stopped=is_stopped)
    assert asked == after + 1
    assert not (tmp_path / "tree").exists()
