"""Parses TOML from outside: the standard library's parser takes quadratic time for keys of very many parts."""

import tomllib
from typing import Any

_PARTS = 500
"""Maximum number of dots in a line, far more than a real file has."""


def read_toml(text: str) -> dict[str, Any]:
    """Parse a document. Raises TOMLDecodeError, and RecursionError when it is nested too deeply."""
    if any(line.count(".") > _PARTS for line in text.splitlines()):
        raise tomllib.TOMLDecodeError("a key has too many parts")
    return tomllib.loads(text)
