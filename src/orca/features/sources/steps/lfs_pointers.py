"""Finds files that Git LFS left as pointers: a site with pointers instead of files would be incomplete."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orca.sdk.trees import Tree

_ATTRIBUTES = ".gitattributes"
_SMALLEST, _LARGEST = 100, 1024
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]{1,200}\n){0,9}"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>[0-9]{1,15})\n?"
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file that is stored at an LFS server."""

    path: str
    oid: str
    size: int


def find_pointers(tree: Path) -> list[Pointer]:
    """Return all pointers, if any `.gitattributes` of the tree mentions LFS. Blocking; follows no links."""
    folders = list(_walk(tree))
    if not any(_ATTRIBUTES in names and _speaks_of_lfs(tree, folder) for folder, names in folders):
        return []
    paths = (f"{folder}{name}" for folder, names in folders for name in names)
    return [pointer for path in paths if (pointer := _read(tree, path)) is not None]


def _walk(tree: Path, folder: str = "") -> Iterator[tuple[str, list[str]]]:
    todo = [folder]
    while todo:
        current = todo.pop()
        entries = [entry for entry in (tree / current).iterdir() if not entry.is_symlink()]
        yield current, [entry.name for entry in entries if entry.is_file()]
        todo += [f"{current}{entry.name}/" for entry in entries if entry.is_dir()]


def _speaks_of_lfs(tree: Path, folder: str) -> bool:
    text = Tree(tree).find_text(f"{folder}{_ATTRIBUTES}") or ""
    return "filter=lfs" in text


def _read(tree: Path, path: str) -> Pointer | None:
    file = tree / path
    if not _SMALLEST <= file.lstat().st_size <= _LARGEST:
        return None
    match = _POINTER.fullmatch(file.read_bytes())
    return Pointer(path, match["oid"].decode(), int(match["size"])) if match else None
