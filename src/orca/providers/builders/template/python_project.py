"""Reads a Python project's manifests: its packages, its Python version, and the tool that installs it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from orca.providers.builders.template.manifests import (
    dig,
    find_lines,
    find_text,
    find_toml,
    find_tool_version,
    find_yaml,
    texts,
)
from orca.providers.builders.template.python_wheels import newest_with_wheels
from orca.sdk.trees import Tree

NEWEST_MINOR = 14
_OLDEST_MINOR = 8
_REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s{0,9}(?:\[(?P<extras>[^\]]*)\])?")
_PINNED = re.compile(r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s{0,9}(?:\[[^\]]*\])?\s{0,9}==\s*(?P<version>\d[\w.]*)")
_INCLUDE = re.compile(r"\s*(?:-r|--requirement)[ =]?\s*(\S+)")
_LOCKED = re.compile(r'^name = "([A-Za-z0-9._-]+)"$', re.MULTILINE)
_CLAUSE = re.compile(r"\s{0,9}(?P<sign>===?|~=|!=|>=|<=|[~^<>])?\s{0,9}3(?:\.(?P<minor>\d{1,2})(?P<rest>\.[\d*]+)?)?")
MANIFESTS = (
    "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "Pipfile", "environment.yml", "environment.yaml",
    "requirements.txt", "pyproject.toml", "setup.py",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PythonProject:
    """A project's manifests, read."""

    manifests: tuple[str, ...]
    data: dict[str, Any]
    """pyproject.toml; empty where there is none."""
    packages: frozenset[str]
    """Normalised names of its direct dependencies, also as `name[extra]` for each extra."""
    pins: dict[str, str] = field(default_factory=dict)
    locked: frozenset[str] = frozenset()
    """Names of all packages in its lock file, and of the dependencies of its workspace's members."""


def read_project(tree: Tree) -> PythonProject:
    """Read all manifests that exist."""
    manifests = tuple(name for name in MANIFESTS if tree.is_file(name))
    data = find_toml(tree, "pyproject.toml")
    lines = [*_requirement_lines(tree), *_declared(tree, data)]
    pins = {_normal(match["name"]): match["version"] for line in lines if (match := _PINNED.match(line[:1000]))}
    members = [line for folder in workspace_members(tree, data) for line in _member_lines(tree, folder)]
    names = _LOCKED.findall(find_text(tree, "uv.lock") or find_text(tree, "poetry.lock"))
    locked = frozenset([*map(_normal, names), *_names(members)])
    return PythonProject(manifests, data, frozenset(_names(lines)), pins, locked)


def _requirement_lines(tree: Tree) -> list[str]:
    """Return the lines of requirements.txt and of the files that it includes, one level deep."""
    lines = find_lines(tree, "requirements.txt").splitlines()
    included = [match[1] for line in lines if (match := _INCLUDE.match(line))][:10]
    return [*lines, *(line for path in included if ".." not in path for line in find_lines(tree, path).splitlines())]


def _declared(tree: Tree, data: dict[str, Any]) -> list[str]:
    """Return the dependencies of pyproject.toml, Pipfile and environment.yml, in the form of requirements."""
    lines = texts(dig(data, "project", "dependencies"))
    for table in (dig(data, "tool", "poetry", "dependencies"), find_toml(tree, "Pipfile").get("packages")):
        for name, value in table.items() if isinstance(table, dict) else ():
            extras = ",".join(texts(dig(value, "extras")))
            version = value if isinstance(value, str) else dig(value, "version")
            lines.append(f"{name}[{extras}]{version if isinstance(version, str) and version[:1] in '=<>~' else ''}")
    for dependency in conda_environment(tree).get("dependencies") or ():
        lines += texts(dig(dependency, "pip")) if isinstance(dependency, dict) else texts(dependency)
    return lines


def conda_environment(tree: Tree) -> dict[str, Any]:
    """The environment.yml, if there is one."""
    return find_yaml(tree, "environment.yml") or find_yaml(tree, "environment.yaml")


def workspace_members(tree: Tree, data: dict[str, Any]) -> list[str]:
    """Folders of the members of a uv workspace."""
    folders = []
    for pattern in texts(dig(data, "tool", "uv", "workspace", "members"))[:50]:
        parent, star, rest = pattern.strip("/").partition("*")
        if not star:
            folders.append(pattern.strip("/"))
        elif not rest and ".." not in parent:
            folders += [f"{parent}{name}" for name in tree.names(parent.strip("/") or ".")[:50]]
    return [folder for folder in folders if ".." not in folder and tree.is_file(f"{folder}/pyproject.toml")][:50]


def _member_lines(tree: Tree, folder: str) -> list[str]:
    return texts(dig(find_toml(tree, f"{folder}/pyproject.toml"), "project", "dependencies"))


def _names(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        match = _REQUIREMENT.match(line[:1000])
        if not match or line.lstrip().startswith(("#", "-")):
            continue
        name = _normal(match["name"])
        yield name
        extras = [extra.strip() for extra in (match["extras"] or "").split(",") if extra.strip()]
        yield from (f"{name}[{extra}]" for extra in extras)
        if name == "fastapi" and "standard" in extras:
            yield "uvicorn"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True)
class PythonVersion:
    """The version of Python to build with."""

    number: str
    pinned: str | None = None
    """The pinned minor version, if a file names one."""
    source: str = ""
    warnings: tuple[str, ...] = ()
    problem: str = ""
    """Why there is no suitable version of Python."""


def find_version(tree: Tree, project: PythonProject) -> PythonVersion:
    """Return the pinned version, else the newest that the ranges and the wheels of old pins allow."""
    for text, source in _version_files(tree):
        words = [line.partition("#")[0].strip() for line in text.splitlines()]
        word = next(filter(None, words), "")
        if match := re.match(r"(?:c?python-?)?(\d{1,2})\.(\d{1,3})(?:\.\d+)?(?:[a-z]+\d+)?$", word.removeprefix("v")):
            return _pin(int(match[1]), int(match[2]), source, project)
        if word and not re.fullmatch(r"(?:python-?)?3|latest|stable|system|(?:[<>=~^!].*)", word):
            ranged = _newest(tree, project)
            warning = f"{source} says {word[:40]!r}, which is no version of Python: {ranged.number} is taken."
            return PythonVersion(ranged.number, warnings=(warning, *ranged.warnings))
    return _newest(tree, project)


def _version_files(tree: Tree) -> Iterable[tuple[str, str]]:
    yield find_text(tree, ".python-version"), ".python-version"
    yield find_text(tree, "runtime.txt"), "runtime.txt"
    requires = find_toml(tree, "Pipfile").get("requires")
    yield str(dig(requires, "python_full_version") or dig(requires, "python_version") or ""), "Pipfile"
    if tool := find_tool_version(tree, "python"):
        yield tool
    for text in texts(conda_environment(tree).get("dependencies")):
        if match := re.match(r"python\s*={1,2}\s*(\d+\.\d+)", text):
            yield match[1], "environment.yml"


def _pin(major: int, minor: int, source: str, project: PythonProject) -> PythonVersion:
    number = f"{major}.{minor}"
    if major != 3 or minor > NEWEST_MINOR:  # noqa: PLR2004 - Python 3
        old = "is out of support and there is no image to build on" if major < 3 else "does not exist"  # noqa: PLR2004
        return PythonVersion(number, number, source, problem=f"{source} asks for Python {number}, which {old}.")
    warnings = []
    limit = newest_with_wheels(project.pins)
    if limit and minor > limit[0]:
        warnings.append(f"{limit[1]} has no wheels for Python {number} (newest: 3.{limit[0]}): it may fail to install.")
    if minor < _OLDEST_MINOR + 2:
        warnings.append(f"Python {number} ({source}) gets no security fixes any more.")
    return PythonVersion(number, number, source, tuple(warnings))


def _newest(tree: Tree, project: PythonProject) -> PythonVersion:
    poetry = dig(project.data, "tool", "poetry", "dependencies", "python")
    wanted = str(dig(project.data, "project", "requires-python") or poetry or _setup_requires(tree))
    least, most = _range(wanted)
    limit = newest_with_wheels(project.pins)
    if limit and least <= limit[0] < most:
        note = f"{limit[1]} has no wheels for newer ones than Python 3.{limit[0]}, which is taken."
        return PythonVersion(f"3.{limit[0]}", warnings=(note,))
    return PythonVersion(f"3.{most}")


def _range(wanted: str) -> tuple[int, int]:
    """The lowest and the highest minor version that a specifier of Python or Poetry allows."""
    least, most = 0, NEWEST_MINOR
    for clause in wanted.split(",")[:20]:
        match = _CLAUSE.match(clause.strip()[:100])
        if not match or match["minor"] is None:
            continue
        sign, minor, is_long = match["sign"] or "==", int(match["minor"]), bool(match["rest"])
        if sign in {">=", ">", "^"} or (sign == "~=" and not is_long):
            least = max(least, minor)
        elif sign in {"<", "<="}:
            most = min(most, minor if is_long or sign == "<=" else minor - 1)
        elif sign != "!=":
            least, most = minor, minor
    return least, max(least, most)


def _setup_requires(tree: Tree) -> str:
    match = re.search(r"python_requires\s*=\s*[\"']?([^\"'\n#]{1,60})", find_lines(tree, "setup.cfg"))
    match = match or re.search(r"python_requires\s*=\s*[\"']([^\"'\n]{1,60})", find_lines(tree, "setup.py"))
    return match[1] if match else ""
