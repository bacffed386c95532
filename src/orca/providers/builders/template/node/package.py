"""package.json, and the workspace that a project may be. What is not as it should be is left out."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orca.kit.yaml import BadYaml, read_yaml
from orca.sdk.trees import Tree

MANIFEST = "package.json"
_MANAGER = re.compile(r"(?P<name>npm|pnpm|yarn|bun)@(?P<version>\d+(?:\.\d+){0,2})(?:[-+].*)?")
_FILE = re.compile(r"(?:\./)*(?P<path>[A-Za-z0-9_@.][A-Za-z0-9_@./+-]{0,200})")
_NAME = re.compile(r"(?:@[a-z0-9~._-]+/)?[a-z0-9~._-]+", re.IGNORECASE)
_FOLDER = re.compile(r"[A-Za-z0-9_@.+~ /()-]{1,200}")
_BUILD_SCRIPTS = (
    "build", "heroku-postbuild", "gcp-build", "render-build", "vercel-build", "build:prod", "build:production",
    "compile", "build-ts",
)  # fmt: skip
_SCRIPT_LIMIT = 2000
_MEMBERS = 200
_SKIPPED = frozenset({"node_modules", ".git", "dist", "build", "vendor"})


class BadManifest(Exception):
    """package.json is there and cannot be read."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package.json. `folder` is `.` for the root of the tree."""

    folder: str = "."
    name: str = ""
    private: bool = False
    scripts: Mapping[str, str] = field(default_factory=dict)
    dependencies: Mapping[str, str] = field(default_factory=dict)
    """Those that are there at run time."""
    dev_dependencies: Mapping[str, str] = field(default_factory=dict)
    manager: tuple[str, str] = ("", "")
    """Name and version of `packageManager`."""
    engines: Mapping[str, str] = field(default_factory=dict)
    volta: Mapping[str, str] = field(default_factory=dict)
    main: str = ""
    module: str = ""
    source: str = ""
    is_published: bool = False
    """Whether it says what others get who install it: a library or a tool."""
    has_programs: bool = False
    """Whether an install of it brings commands: a tool."""
    workspaces: tuple[str, ...] = ()

    @property
    def build_script(self) -> str:
        """The script that builds: `build`, or the one that hosts run in its place; empty where there is none."""
        return next((name for name in _BUILD_SCRIPTS if name in self.scripts), "")

    @property
    def all_dependencies(self) -> Mapping[str, str]:
        """Everything that an install brings."""
        return {**self.dev_dependencies, **self.dependencies}

    def major(self, name: str) -> str:
        """The first number of the version that is asked for: `3` for `^3.8.2`; empty where there is none."""
        match = re.match(r"[\^~>=v\s]{0,5}(\d{1,4})", self.all_dependencies.get(name, "")[:40])
        return match[1] if match else ""


def read_package(tree: Tree, folder: str = ".") -> Package | None:
    """The manifest of a folder; BadManifest with its line where it is no JSON object."""
    path = posixpath.normpath(posixpath.join(folder, MANIFEST))
    text = tree.find_text(path)
    if text is None:
        return None
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadManifest(
            f"{path} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None
    except (ValueError, RecursionError):
        raise BadManifest(f"{path} is not valid JSON: it is nested too deeply, or a number is too long.") from None
    if not isinstance(data, dict):
        raise BadManifest(f"{path} is not a JSON object.")
    return _package(folder, data)


def _package(folder: str, data: dict[str, Any]) -> Package:
    manager = _MANAGER.fullmatch(_text(data.get("packageManager"))[:300])
    name = _text(data.get("name"))
    workspaces = data.get("workspaces")
    patterns = workspaces.get("packages") if isinstance(workspaces, dict) else workspaces
    private = data.get("private") in (True, "true")
    told = ("files", "exports", "types", "typings", "bin", "publishConfig", "peerDependencies")
    return Package(
        folder=folder,
        name=name if _NAME.fullmatch(name[:214]) else "",
        private=private,
        scripts={key: text[:_SCRIPT_LIMIT] for key, text in _texts(data.get("scripts")).items()},
        dependencies={**_texts(data.get("optionalDependencies")), **_texts(data.get("dependencies"))},
        dev_dependencies=_texts(data.get("devDependencies")),
        manager=(manager["name"], manager["version"]) if manager else ("", ""),
        engines=_texts(data.get("engines")),
        volta=_texts(data.get("volta")),
        main=_file(data.get("main")),
        module=_file(data.get("module")),
        source=_file(data.get("source")),
        is_published=not private and any(data.get(key) for key in told),
        has_programs=bool(data.get("bin")),
        workspaces=_strings(patterns),
    )


@dataclass(frozen=True)
class NodeProject:
    """A tree with a package.json in its root, and what belongs to it."""

    tree: Tree
    root: Package

    @cached_property
    def workspace_settings(self) -> Mapping[str, Any]:
        """pnpm-workspace.yaml."""
        try:
            value = read_yaml(self.tree.find_text("pnpm-workspace.yaml") or "").value
        except BadYaml:
            return {}
        return value if isinstance(value, dict) else {}

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """Where the members of the workspace are."""
        lerna = _json(self.tree, "lerna.json").get("packages") if self.tree.is_file("lerna.json") else ()
        found = (*_strings(self.workspace_settings.get("packages")), *self.root.workspaces, *_strings(lerna))
        if not found and self.tree.is_file("nx.json"):
            return ("apps/*", "packages/*", "libs/*")
        return tuple(dict.fromkeys(found))

    @cached_property
    def members(self) -> Mapping[str, Package]:
        """Folder -> package, without the root."""
        found: dict[str, Package] = {}
        excluded = [pattern[1:] for pattern in self.patterns if pattern.startswith("!")]
        for pattern in self.patterns:
            for folder in _matching(self.tree, "." if pattern.startswith("!") else "", pattern):
                if len(found) >= _MEMBERS:
                    return found
                if (
                    folder != "."
                    and folder not in found
                    and _FOLDER.fullmatch(folder)
                    and not any(_fits(folder, glob) for glob in excluded)
                ):
                    try:
                        package = read_package(self.tree, folder)
                    except BadManifest:
                        continue
                    if package:
                        found[folder] = package
        return found

    def package(self, folder: str) -> Package:
        """The package of a folder; an empty one where there is no manifest."""
        if folder in {".", self.root.folder}:
            return self.root
        if folder in self.members:
            return self.members[folder]
        try:
            return read_package(self.tree, folder) or Package(folder)
        except BadManifest:
            return Package(folder)

    def named(self, name: str) -> Package | None:
        """A member by its name, its folder or the last part of that."""
        wanted = name.strip("./") if not name.startswith("@") else name
        for folder, package in self.members.items():
            if name and (package.name == name or wanted in {folder, posixpath.basename(folder)}):
                return package
        return None

    def find_text(self, folder: str, *names: str) -> str | None:
        """The first of these files of a folder that is there."""
        for name in names:
            path = posixpath.normpath(posixpath.join(folder, name))
            if not path.startswith("..") and self.tree.is_file(path):
                return self.tree.find_text(path)
        return None

    def is_file(self, folder: str, name: str) -> bool:
        """Whether a folder has the file."""
        path = posixpath.normpath(posixpath.join(folder, name))
        return not path.startswith(("..", "/")) and self.tree.is_file(path)

    def json(self, folder: str, name: str) -> Mapping[str, Any]:
        """A JSON file, comments allowed; empty where there is none that can be read."""
        return _json(self.tree, posixpath.normpath(posixpath.join(folder, name)))


def without_comments(text: str) -> str:
    """JSON from JSON with comments and trailing commas."""
    made: list[str] = []
    at, length = 0, len(text)
    while at < length:
        char = text[at]
        if char == '"':
            end = at + 1
            while end < length and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            made.append(text[at : end + 1])
            at = end + 1
        elif text.startswith("//", at):
            end = text.find("\n", at)
            at = length if end < 0 else end
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2)
            at = length if end < 0 else end + 2
        else:
            if char in "]}":
                _drop_comma(made)
            made.append(char)
            at += 1
    return "".join(made)


def _drop_comma(made: list[str]) -> None:
    spaces = []
    while made and made[-1].isspace():
        spaces.append(made.pop())
    if made and made[-1] == ",":
        made.pop()
    made.extend(reversed(spaces))


def _json(tree: Tree, path: str) -> dict[str, Any]:
    text = tree.find_text(path) if not path.startswith("..") else None
    try:
        data = json.loads(without_comments(text)) if text else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _matching(tree: Tree, skip: str, pattern: str) -> Iterator[str]:
    """Folders that a workspace pattern names: plain ones, `*` for one level, `**` for several."""
    if skip:
        return
    found = ["."]
    for part in pattern.strip("/").split("/")[:8]:
        if part in {"", "."}:
            continue
        if part == "..":
            return
        if part == "**":
            found = [*found, *_below(tree, found)]
        elif "*" in part:
            found = [child for folder in found for child in _children(tree, folder) if _fits_part(child, part)]
        else:
            found = [posixpath.normpath(posixpath.join(folder, part)) for folder in found]
        found = found[:1000]
    yield from found


def _children(tree: Tree, folder: str) -> list[str]:
    names = [name for name in tree.names(folder) if name not in _SKIPPED and not name.startswith(".")]
    paths = [posixpath.normpath(posixpath.join(folder, name)) for name in names[:1000]]
    return [path for path in paths if tree.is_directory(path)]


def _below(tree: Tree, folders: list[str]) -> list[str]:
    """All folders below, four levels deep."""
    found, level = [], folders
    for _ in range(4):
        level = [child for folder in level for child in _children(tree, folder)][:1000]
        found.extend(level)
    return found[:1000]


def _fits_part(path: str, part: str) -> bool:
    before, _, after = part.partition("*")
    name = posixpath.basename(path)
    return len(name) >= len(before) + len(after) and name.startswith(before) and name.endswith(after)


def _fits(folder: str, pattern: str) -> bool:
    """Whether an excluding pattern names the folder."""
    plain = pattern.strip("/").removeprefix("./")
    start = plain.partition("*")[0].rstrip("/")
    name = plain.rpartition("/")[2]
    if plain.startswith("**/"):
        return "*" not in name and name in folder.split("/")
    return folder == plain or ("*" in plain and bool(start) and folder.startswith(f"{start}/"))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> dict[str, str]:
    return {key: text for key, text in _mapping(value).items() if isinstance(text, str)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _strings(value: object) -> tuple[str, ...]:
    return tuple(item[:300] for item in value[:100] if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def _file(value: object) -> str:
    match = _FILE.fullmatch(_text(value))
    path = posixpath.normpath(match["path"]) if match else ""
    return path if path and not path.startswith("..") and path != "." else ""
