"""TOML from outside: the standard library's reader needs the square of the length for keys of very many parts."""

import tomllib
from typing import Any

_PARTS = 500
"""Dots in a line, far more than a real file has."""


def read_toml(text: str) -> dict[str, Any]:
    """Raises TOMLDecodeError, RecursionError (nested too deeply)."""
    if any(line.count(".") > _PARTS for line in text.splitlines()):
        raise tomllib.TOMLDecodeError("a key has too many parts")
    return tomllib.loads(text)
