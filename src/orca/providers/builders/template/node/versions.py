"""The version of Node.js: exact in engines, then the version files, then a range, then the newest LTS."""

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from orca.kit.toml import read_toml
from orca.providers.builders.template.node.package import NodeProject
from orca.sdk.trees import Tree

LATEST = 24
_OLDEST, _NEWEST = 8, 25
"""Majors that have a `-slim` image."""
_SUPPORTED = 20
_UNBOUNDED = 10_000
_CODENAMES = {
    "carbon": 8, "dubnium": 10, "erbium": 12, "fermium": 14, "gallium": 16, "hydrogen": 18, "iron": 20, "jod": 22,
    "krypton": 24,
}  # fmt: skip
_NEWEST_WORDS = frozenset({"", "*", "x", "latest", "node", "current", "lts", "lts/*", "lts/latest"})
_EXACT = re.compile(r"[v=\s]{0,4}(\d{1,3})(?:\.(?:\d{1,4}|x|X|\*)){0,2}(?:-[\w.]{1,30})?")
_PART = re.compile(
    r"(?P<sign>\^|~>?|>=|<=|>|<|=)?\s*v?(?P<major>\d{1,4}|x|X|\*)(?P<rest>(?:\.(?:\d{1,6}|x|X|\*)){0,2})(?:[-+][\w.+-]{1,40})?"
)
_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Version:
    """`major` is that of the image; `pinned` is None if the project accepts any version."""

    major: int = LATEST
    pinned: str | None = None
    warnings: tuple[str, ...] = ()

    def at_most(self, newest: int | None) -> "Version":
        """Return an older version for tools that support no newer one, unless a version is pinned."""
        if newest is None or self.pinned or self.major <= newest:
            return self
        note = f"Node.js {newest} is used: a tool is too old for a newer one. `build.options.version` changes it."
        return Version(newest, None, (*self.warnings, note))


def find_version(project: NodeProject, folder: str = ".") -> Version:
    """Find the version in the files; for an invalid one return the default, with a warning."""
    engine = project.package(folder).engines.get("node") or project.root.engines.get("node") or ""
    files = _in_files(project, folder)
    warnings: list[str] = []
    for place, text in (("engines.node of package.json", engine), *files):
        exact = _exact(text)
        if exact is not None:
            return _checked(exact, place, text, warnings)
        if place != "engines.node of package.json" and text.lower() not in _NEWEST_WORDS and _range(text) is None:
            warnings.append(f"{place} says {text[:40]!r}, which is no version of Node.js: {LATEST} is used.")
    if engine.strip().lower() not in _NEWEST_WORDS:
        found = _range(engine)
        if found is None:
            warnings.append(
                f"engines.node of package.json says {engine[:40]!r}, which is no version: {LATEST} is used."
            )
        else:
            return Version(found[0], str(found[0]) if found[1] else None, tuple(warnings))
    for _, text in files:
        if (found := _range(text)) and text.lower() not in _NEWEST_WORDS:
            return Version(found[0], str(found[0]) if found[1] else None, tuple(warnings))
    return Version(warnings=tuple(warnings))


def _checked(major: int, place: str, text: str, warnings: list[str]) -> Version:
    if not _OLDEST <= major <= _NEWEST:
        nearest = _OLDEST if major < _OLDEST else LATEST
        note = f"{place} says {text[:40]!r}, for which there is no image: Node.js {nearest} is used."
        return Version(nearest, None, (*warnings, note))
    old = (f"Node.js {major} ({place}) gets no security updates any more.",) if major < _SUPPORTED else ()
    return Version(major, str(major), (*warnings, *old))


def _in_files(project: NodeProject, folder: str) -> list[tuple[str, str]]:
    """The version files, nearest first."""
    found = [("volta.node of package.json", project.root.volta.get("node", ""))]
    folders = [folder, "."] if folder != "." else ["."]
    for candidate in folders:
        for name in (".nvmrc", ".node-version"):
            text = project.find_text(candidate, name) or ""
            line = next((line for line in text.splitlines()[:20] if line.partition("#")[0].strip()), "")
            found.append((name, line.partition("#")[0].strip()))
    found.extend((name, version_of_tool(project.tree, name, "node", "nodejs")) for name in TOOL_FILES)
    return [(name, text) for name, text in found if text]


TOOL_FILES = (".tool-versions", "mise.toml", ".mise.toml", ".config/mise.toml")


def version_of_tool(tree: Tree, path: str, *tools: str) -> str:
    """Return a tool's version in .tool-versions or mise.toml; empty if there is none."""
    text = tree.find_text(path) or ""
    if not path.endswith(".toml"):
        lines = [line.partition("#")[0].split() for line in text.splitlines()[:100]]
        return next((words[1] for words in lines if len(words) > 1 and words[0] in tools), "")
    try:
        data: Any = read_toml(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    table = data.get("tools")
    value = next((table[tool] for tool in tools if tool in table), "") if isinstance(table, dict) else ""
    if isinstance(value, list):
        value = value[0] if value else ""
    if isinstance(value, dict):
        value = value.get("version", "")
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""


def _exact(text: str) -> int | None:
    """Return the major version of `20`, `v18.1.0`, `22.x`, `lts/iron`; None for ranges and other words."""
    text = text.strip().lower()[:_LIMIT]
    if text.startswith("lts/-") and text[5:].isdigit():
        return LATEST - 2 * min(int(text[5:]), 8)
    name = text.removeprefix("lts/").removeprefix("lts-")
    if name in _CODENAMES:
        return _CODENAMES[name]
    match = _EXACT.fullmatch(text)
    return int(match[1]) if match else None


def _range(text: str) -> tuple[int, bool] | None:
    """Return the best major version of a range, and whether it has an upper bound; None for an invalid range."""
    best: list[tuple[int, bool]] = []
    for choice in text[:_LIMIT].replace(",", " ").split("||")[:10]:
        bounds = _bounds(choice.strip())
        if bounds is None:
            return None
        low, high = bounds
        if low <= LATEST <= high:
            best.append((LATEST, high < _UNBOUNDED))
        elif high < LATEST:
            best.append((max(high, _OLDEST), True))
        else:
            best.append((min(low, _NEWEST), high < _UNBOUNDED))
    if not best:
        return None
    major = max(major for major, _ in best)
    return major, all(bounded for _, bounded in best)


def _bounds(text: str) -> tuple[int, int] | None:
    """Return the lowest and the highest major version of one part of a range; None for an invalid one."""
    low, high = 0, _UNBOUNDED
    text = re.sub(r"(?<=[<>=~^])\s+", "", text)
    parts = text.split()
    if "-" in parts[1:2] and parts[2:]:
        parts = [f">={parts[0]}", f"<={parts[2]}"]
    for part in parts or ["*"]:
        match = _PART.fullmatch(part)
        if not match:
            return None
        if match["major"] in "xX*":
            continue
        major, rest = int(match["major"]), re.findall(r"\d+", match["rest"])
        sign = match["sign"] or "="
        if sign in {">=", ">"}:
            low = max(low, major + (sign == ">" and not rest))
        elif sign == "<":
            high = min(high, major if any(int(number) for number in rest) else major - 1)
        elif sign == "<=":
            high = min(high, major)
        else:
            low, high = max(low, major), min(high, major)
    return (low, high) if low <= high else None
