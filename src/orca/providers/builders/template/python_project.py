"""What a Python project says of itself: its packages and the version it wants."""

import re
import tomllib
from collections.abc import Iterable
from typing import Any

from orca.sdk.trees import Tree

_LATEST_MINOR = 14
_REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[(?P<extras>[^\]]*)\])?")


def read_project(tree: Tree) -> dict[str, Any]:
    """pyproject.toml, or nothing if there is none that can be read."""
    try:
        return tomllib.loads(tree.find_text("pyproject.toml") or "")
    except tomllib.TOMLDecodeError:
        return {}  # its own tool explains it best


def find_packages(tree: Tree, project: dict[str, Any]) -> set[str]:
    """Normalised names of what it depends on directly."""
    lines: list[str] = (tree.find_text("requirements.txt") or "").splitlines()
    declared = _dig(project, "project", "dependencies")
    lines += [str(line) for line in declared] if isinstance(declared, list) else []
    poetry = _dig(project, "tool", "poetry", "dependencies")
    lines += list(poetry) if isinstance(poetry, dict) else []
    return set(_names(lines))


def _names(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match and not line.lstrip().startswith(("#", "-")):
            name = re.sub(r"[-_.]+", "-", match["name"]).lower()
            yield name
            if name == "fastapi" and "standard" in (match["extras"] or ""):
                yield "uvicorn"


def _dig(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def find_version(tree: Tree, project: dict[str, Any]) -> str:
    """What the project asks for, or the newest that it allows."""
    for path in (".python-version", "runtime.txt"):
        match = re.match(r"\s*(?:python-)?(3\.\d{1,2})\b", tree.find_text(path) or "")
        if match:
            return match[1]
    poetry = _dig(project, "tool", "poetry", "dependencies", "python")
    wanted = str(_dig(project, "project", "requires-python") or poetry)
    exact = re.search(r"(?:==|~=|\^|~)\s*3\.(\d{1,2})", wanted)
    below = re.search(r"<\s*3\.(\d{1,2})", wanted)
    least = re.search(r">=\s*3\.(\d{1,2})", wanted)
    minor = _LATEST_MINOR
    if below:
        minor = min(minor, int(below[1]) - 1)
    if least:
        minor = max(minor, int(least[1]))
    if exact and "^" not in wanted:
        minor = int(exact[1])
    return f"3.{minor}"
