"""Whether what a Dockerfile copies from the source is there: a build that cannot succeed is not begun."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from orca.sdk.buildkit.dockerfile import Resolved, ResolvedInstruction
from orca.sdk.trees import Tree, UnsafePath

_INSTRUCTIONS = 200
_PATTERN = frozenset("*?[")


def find_missing(tree: Tree, resolved: Resolved) -> list[str]:
    """Sources of COPY and ADD that are not in the tree. What depends on variables is left to the build."""
    stages = [resolved.stages[index] for index in sorted(resolved.reachable)]
    instructions = [each for stage in stages for each in stage.instructions if each.keyword in {"COPY", "ADD"}]
    sources = (source for each in instructions[:_INSTRUCTIONS] for source in _sources(each))
    return [source for source in dict.fromkeys(sources) if not _is_there(tree, source)]


def _sources(instruction: ResolvedInstruction) -> Iterator[str]:
    if instruction.origins or instruction.source.body:
        return
    written = instruction.source.words[:-1]
    for source in written:
        is_remote = "://" in source or source.startswith("git@")
        if not is_remote and "$" not in source and "\\" not in source and not source.startswith("<<"):
            yield source


def _is_there(tree: Tree, source: str) -> bool:
    parts = [part for part in source.strip("/").split("/") if part not in {"", "."}]
    if ".." in parts:
        return True  # BuildKit takes it for the root, or refuses it
    return _matches(tree, "", parts)


def _matches(tree: Tree, folder: str, parts: list[str]) -> bool:
    """Whether an entry fits; patterns are compared with what lies in one folder, as BuildKit does."""
    if not parts:
        return True
    first, *rest = parts
    try:
        names = tree.names(folder or ".")
    except UnsafePath:
        return True
    if _PATTERN.isdisjoint(first):
        return first in names and _matches(tree, f"{folder}/{first}".strip("/"), rest)
    found = [name for name in names if fnmatchcase(name, first)]
    if not rest:
        return bool(found)
    return any(_matches(tree, f"{folder}/{name}".strip("/"), rest) for name in found[:100])
