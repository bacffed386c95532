"""Reads what a project says of itself: TOML, JSON, YAML, and the version files that all languages share."""

import json
import re
import tomllib
from typing import Any

from orca.errors import BadInput
from orca.kit.toml import read_toml
from orca.kit.yaml import BadYaml, read_yaml
from orca.sdk.trees import Tree, UnsafePath

_MISE_FILES = ("mise.toml", ".mise.toml", ".config/mise.toml", ".config/mise/config.toml", "mise/config.toml")
_BYTES = 1 << 20
_LINE = 1000


def find_text(tree: Tree, path: str) -> str:
    """The file; empty where there is none, or one too long to be read here. UnsafePath when it leads out."""
    try:
        return tree.find_text(path, limit=_BYTES) or ""
    except UnsafePath:
        raise
    except (BadInput, OSError):
        return ""


def find_lines(tree: Tree, path: str) -> str:
    """Like `find_text`, with lines cut at a length that expressions can be run over."""
    return "\n".join(line[:_LINE] for line in find_text(tree, path).split("\n"))


def find_toml(tree: Tree, path: str) -> dict[str, Any]:
    """A TOML file; empty where there is none that can be read: its own tool explains it best."""
    try:
        return read_toml(find_text(tree, path))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def find_json(tree: Tree, path: str) -> dict[str, Any]:
    """A JSON object; empty where there is none that can be read."""
    try:
        data = json.loads(find_text(tree, path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def find_yaml(tree: Tree, path: str) -> dict[str, Any]:
    """A YAML mapping; empty where there is none that can be read."""
    try:
        data = read_yaml(find_text(tree, path)).value
    except BadYaml:
        return {}
    return data if isinstance(data, dict) else {}


def dig(data: Any, *keys: str) -> Any:
    """The value below nested keys; None where one is missing."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def texts(value: Any) -> list[str]:
    """A list of strings, without what is none; a single string is a list of one."""
    return [each for each in ([value] if isinstance(value, str) else value or ()) if isinstance(each, str)]


def find_tool_version(tree: Tree, *names: str) -> tuple[str, str] | None:
    """What mise.toml or .tool-versions say of a tool, and which file it was."""
    for path in _MISE_FILES:
        tools = dig(find_toml(tree, path), "tools")
        for name in names if isinstance(tools, dict) else ():
            value = tools.get(name)
            value = value[0] if isinstance(value, list) and value else value
            value = value.get("version") if isinstance(value, dict) else value
            if isinstance(value, (str, int, float)):
                return str(value), path
    for line in find_text(tree, ".tool-versions").splitlines()[:100]:
        words = line.partition("#")[0].split()
        if len(words) > 1 and words[0] in names:
            return words[1], ".tool-versions"
    return None


def minor_version(text: str) -> str | None:
    """The `3.12` of `3.12.4`, `v3.12`, `ruby-3.12.1`; None where there are not two numbers."""
    match = re.match(r"\s*(?:[a-z]{1,12}-)?v?(\d{1,3}\.\d{1,3})", text)
    return match[1] if match else None
