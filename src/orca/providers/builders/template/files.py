"""Walks a source tree within limits, for languages with deeply nested code."""

from collections import deque
from collections.abc import Iterable, Iterator

from orca.providers.builders.template.manifests import find_text
from orca.sdk.trees import Tree

DATA_FOLDERS = frozenset({
    "templates", "template", "views", "tmpl", "static", "public", "assets", "web", "www", "html", "dist", "data",
    "config", "configs", "conf", "migrations", "locales", "i18n", "content", "posts", "resources",
})  # fmt: skip
"""Folders that a compiled program may read at run time."""
_FOLDERS = 200
_CHARACTERS = 2_000_000
_SKIPPED = frozenset({"node_modules", "vendor", "target", "build", "test", "tests", "deps", "_build", "bin", "obj"})


def walk(tree: Tree, folder: str, suffix: str, *, limit: int = 200) -> Iterator[str]:
    """Return the files with this suffix below a folder, nearest first; without tests and build output."""
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


def read_code(tree: Tree, paths: Iterable[str], *, limit: int = _CHARACTERS) -> Iterator[str]:
    """Return the text of these files, in their order, up to that many characters in all."""
    for path in paths:
        text = find_text(tree, path)[:limit]
        limit -= len(text)
        yield text
        if limit <= 0:
            return


def has_data(tree: Tree) -> bool:
    """Whether the tree contains files besides code that a program may read at run time."""
    names = tree.names()
    return any(name in DATA_FOLDERS and tree.is_directory(name) for name in names) or any(
        name.endswith((".html", ".tmpl", ".gohtml", ".db", ".sqlite")) for name in names
    )
