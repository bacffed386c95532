"""Reads manifests: TOML, JSON, YAML, and the version files that all languages share."""

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
    """Read a file; empty if it is missing or too long. Raises UnsafePath when it leads out of the tree."""
    try:
        return tree.find_text(path, limit=_BYTES) or ""
    except UnsafePath:
        raise
    except (BadInput, OSError):
        return ""


def find_lines(tree: Tree, path: str) -> str:
    """Like `find_text`, with lines cut to a length that is safe for regular expressions."""
    return cut_lines(find_text(tree, path))


def cut_lines(text: str) -> str:
    """Return a text with lines cut to a length that is safe for regular expressions."""
    return "\n".join(line[:_LINE] for line in text.split("\n"))


def find_toml(tree: Tree, path: str) -> dict[str, Any]:
    """Read a TOML file; empty if it is missing or invalid: the project's own tool reports errors best."""
    try:
        return read_toml(find_text(tree, path))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def find_json(tree: Tree, path: str) -> dict[str, Any]:
    """Read a JSON object; empty if it is missing or invalid."""
    try:
        data = json.loads(find_text(tree, path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def find_yaml(tree: Tree, path: str) -> dict[str, Any]:
    """Read a YAML mapping; empty if it is missing or invalid."""
    try:
        data = read_yaml(find_text(tree, path)).value
    except BadYaml:
        return {}
    return data if isinstance(data, dict) else {}


def dig(data: Any, *keys: str) -> Any:
    """Return the value at nested keys; None if one is missing."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def texts(value: Any) -> list[str]:
    """Return a list of strings, without other values; a single string becomes a list."""
    return [item for item in ([value] if isinstance(value, str) else value or ()) if isinstance(item, str)]


def find_tool_version(tree: Tree, *names: str) -> tuple[str, str] | None:
    """Return a tool's version in mise.toml or .tool-versions, and the name of that file."""
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
    """Return the `3.12` of `3.12.4`, `v3.12`, `ruby-3.12.1`; None without two numbers."""
    match = re.match(r"\s*(?:[a-z]{1,12}-)?v?(\d{1,3}\.\d{1,3})", text)
    return match[1] if match else None
