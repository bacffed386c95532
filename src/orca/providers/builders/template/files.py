"""Walks a source tree within bounds, for languages whose code lies deep."""

from collections import deque
from collections.abc import Iterator

from orca.sdk.trees import Tree

DATA_FOLDERS = frozenset({
    "templates", "template", "views", "tmpl", "static", "public", "assets", "web", "www", "html", "dist", "data",
    "config", "configs", "conf", "migrations", "locales", "i18n", "content", "posts", "resources",
})  # fmt: skip
"""Folders that a compiled program may read while it runs."""
_FOLDERS = 200
_SKIPPED = frozenset({"node_modules", "vendor", "target", "build", "test", "tests", "deps", "_build", "bin", "obj"})


def walk(tree: Tree, folder: str, suffix: str, *, limit: int = 200) -> Iterator[str]:
    """Files below a folder whose names end so, nearest first; without tests and what builds leave behind."""
    pending, seen, found = deque([folder]), 0, 0
    while pending and seen < _FOLDERS and found < limit:
        current = pending.popleft()
        seen += 1
        for name in tree.names(current):
            path = name if current == "." else f"{current}/{name}"
            if name.endswith(suffix) and found < limit:
                found += 1
                yield path
            elif "." not in name and name not in _SKIPPED and tree.is_directory(path):
                pending.append(path)


def has_data(tree: Tree) -> bool:
    """Whether there is something beside the code that a program may read while it runs."""
    names = tree.names()
    return any(name in DATA_FOLDERS and tree.is_directory(name) for name in names) or any(
        name.endswith((".html", ".tmpl", ".gohtml", ".db", ".sqlite")) for name in names
    )
