"""Checks that the sources of a Dockerfile's COPY and ADD exist, so that a build that must fail is not started."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from orca.sdk.dockerfile import Resolved, ResolvedInstruction
from orca.sdk.trees import Tree, UnsafePath

_INSTRUCTIONS = 200
_MOST_LOOKED_AT = 200_000
"""Maximum comparisons: a few kilobytes of patterns could take hours with a hundred thousand files."""
_PATTERN = frozenset("*?[")


def find_missing(tree: Tree, resolved: Resolved) -> list[str]:
    """Return the sources of COPY and ADD that are not in the tree; those with variables are not checked."""
    stages = [resolved.stages[index] for index in sorted(resolved.reachable)]
    instructions = [
        instruction for stage in stages for instruction in stage.instructions if instruction.keyword in {"COPY", "ADD"}
    ]
    sources = (source for instruction in instructions[:_INSTRUCTIONS] for source in _sources(instruction))
    search = _Search(tree)
    return [source for source in dict.fromkeys(sources) if not search.is_there(source)]


def _sources(instruction: ResolvedInstruction) -> Iterator[str]:
    if instruction.origins or instruction.source.body:
        return
    written = instruction.source.words[:-1]
    for source in written:
        is_remote = "://" in source or source.startswith("git@")
        if not is_remote and "$" not in source and "\\" not in source and not source.startswith("<<"):
            yield source


class _Search:
    """Searches all sources of one Dockerfile. Beyond the maximum of comparisons the rest is assumed to exist."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._left = _MOST_LOOKED_AT

    def is_there(self, source: str) -> bool:
        parts = [part for part in source.strip("/").split("/") if part not in {"", "."}]
        if ".." in parts:
            return True  # BuildKit treats it as the root, or refuses it
        return self._matches("", parts)

    def _matches(self, folder: str, parts: list[str]) -> bool:
        """Whether an entry matches; patterns are compared with the entries of one folder, as in BuildKit."""
        if not parts or self._left < 0:
            return True
        first, *rest = parts
        try:
            names = self._tree.names(folder or ".")
        except UnsafePath:
            return True
        self._left -= len(names) + 1
        if _PATTERN.isdisjoint(first):
            return first in names and self._matches(f"{folder}/{first}".strip("/"), rest)
        found = [name for name in names if fnmatchcase(name, first)]
        if not rest:
            return bool(found)
        return any(self._matches(f"{folder}/{name}".strip("/"), rest) for name in found[:100])
