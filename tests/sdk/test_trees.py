"""Nothing outside a tree is ever read, whatever the tree holds."""

import os
import threading
from pathlib import Path

import pytest

from orca.errors import BadInput
from orca.sdk.trees import Tree, UnsafePath

SECRET = "outside-secret"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text(SECRET)
    root = tmp_path / "tree"
    (root / "app" / "deep").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "app" / "main.py").write_text("print()\n")
    return root


def test_reads_files_and_links_that_stay_inside(root: Path) -> None:
    (root / "app" / "link").symlink_to("../Dockerfile")
    (root / "dir").symlink_to("app/./deep/..")
    tree = Tree(root)
    assert tree.read_text("app/link") == "FROM scratch\n"
    assert tree.read_text("dir/main.py") == "print()\n"
    assert tree.read_text("./app//main.py") == "print()\n"
    assert tree.directory("dir") == root / "app"
    assert tree.directory(".") == root
    assert tree.names("app") == ("deep", "link", "main.py")
    assert tree.is_file("app/link")
    assert tree.is_directory("dir")
    assert not tree.is_file("dir")


@pytest.mark.parametrize(
    "target",
    [
        "/etc/passwd",
        "../outside/secret",
        "../../../../../../etc/passwd",
        "app/../../outside/secret",
        "loop",
        "app/deep/../../../outside/secret",
    ],
)
def test_links_that_lead_out_are_refused(root: Path, target: str) -> None:
    (root / "loop").symlink_to("loop")
    (root / "evil").symlink_to(target)
    tree = Tree(root)
    with pytest.raises(UnsafePath):
        tree.read_text("evil")
    with pytest.raises(UnsafePath):
        tree.directory("evil")
    assert not tree.is_file("evil")
    assert not tree.stays_inside("evil")


def test_a_directory_link_out_is_refused_on_the_way(root: Path) -> None:
    (root / "out").symlink_to("../outside")
    (root / "absolute").symlink_to(root.parent / "outside")
    tree = Tree(root)
    for path in ("out/secret", "absolute/secret"):
        with pytest.raises(UnsafePath):
            tree.read_text(path)
    with pytest.raises(UnsafePath):
        tree.names("out")


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside/secret", "app/../../outside/secret", "a\0b", "x" * 300])
def test_paths_that_lead_out_are_refused(root: Path, path: str) -> None:
    with pytest.raises(UnsafePath):
        Tree(root).read_text(path)


def test_a_long_chain_of_links_is_refused(root: Path) -> None:
    (root / "l0").symlink_to("Dockerfile")
    for number in range(1, 60):
        (root / f"l{number}").symlink_to(f"l{number - 1}")
    assert Tree(root).read_text("l39") == "FROM scratch\n"
    with pytest.raises(UnsafePath):
        Tree(root).read_text("l59")


def test_pipes_sockets_and_directories_are_no_files(root: Path) -> None:
    os.mkfifo(root / "pipe")
    for path in ("pipe", "app"):
        with pytest.raises(UnsafePath, match="not a regular file"):
            Tree(root).read_text(path)


def test_missing_large_and_marked_files(root: Path) -> None:
    tree = Tree(root)
    assert tree.find_text("nothing") is None
    assert tree.find_text("Dockerfile/x") is None
    assert tree.names("nothing") == ()
    with pytest.raises(FileNotFoundError):
        tree.read_text("nothing")
    (root / "big").write_text("x" * 100)
    with pytest.raises(BadInput, match="larger than 99"):
        tree.read_text("big", limit=99)
    (root / "bom").write_bytes(b"\xef\xbb\xbfFROM \xff")
    assert tree.read_text("bom") == "FROM \ufffd"
    with pytest.raises(BadInput, match="no directory"):
        tree.directory("nothing")
    with pytest.raises(BadInput, match="is a file"):
        tree.directory("Dockerfile")


def test_adds_files_but_never_over_or_through_anything(root: Path) -> None:
    tree = Tree(root)
    assert tree.add_file("app/new.txt", "ours")
    assert not tree.add_file("app/new.txt", "again")
    (root / "dangling").symlink_to("../outside/new")
    assert not tree.add_file("dangling", "ours")
    (root / "out").symlink_to("../outside")
    with pytest.raises(UnsafePath):
        tree.add_file("out/new", "ours")
    assert (root / "app" / "new.txt").read_text() == "ours"
    assert sorted(path.name for path in (root.parent / "outside").iterdir()) == ["secret"]


def test_a_racing_thread_cannot_lead_the_reader_out(root: Path) -> None:
    """DOC-07: file, link out, and directory link out swapped as fast as one thread can."""
    stop = threading.Event()
    inside, out = root / "in", root / "out"
    inside.mkdir()
    (inside / "secret").write_text("inside")
    out.symlink_to("../outside")

    def swap() -> None:
        while not stop.is_set():
            inside.rename(root / "tmp")
            out.rename(inside)
            inside.rename(out)
            (root / "tmp").rename(inside)

    thread = threading.Thread(target=swap)
    thread.start()
    seen, refused = 0, 0
    try:
        for _ in range(5000):
            try:
                assert Tree(root).read_text("in/secret") == "inside"
                seen += 1
            except (UnsafePath, OSError):
                refused += 1
    finally:
        stop.set()
        thread.join()
    assert seen
    assert refused
