"""Texts that people type for lists and mappings in forms: parsing with the errors of each field, and showing. Pure."""

import shlex
from collections.abc import Callable, Mapping
from typing import Any


class FormReader:
    """Parses the texts of a form, and collects the errors."""

    def __init__(self, form: Mapping[str, str]) -> None:
        self.form = form
        self.problems: dict[str, str] = {}

    def read(self, name: str, parse: Callable[[str], Any], stored: object) -> Any:
        """Return the parsed value of a field, or the stored value when it cannot be parsed."""
        try:
            return parse(self.form.get(name, ""))
        except ValueError as error:
            self.problems[name] = str(error)
            return stored


def split_command(text: str) -> list[str]:
    """Return the arguments of a command as a shell would split it. Raises ValueError for an open quotation."""
    try:
        return shlex.split(text)
    except ValueError:
        raise ValueError("a quotation mark is not closed, or a backslash stands at the end") from None


def parse_lines(text: str, form: str = "KEY=value") -> dict[str, str]:
    """Parse lines of `KEY=value` to a mapping. Raises ValueError that names the line, and the `form` it should have."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        key, sign, value = line.partition("=")
        if not line.strip():
            continue
        if not sign or not key.strip():
            raise ValueError(f"line {number} is not {form}")
        found[key.strip()] = value.strip()
    return found


def show_lines(values: Mapping[str, object]) -> str:
    """Return a mapping as `KEY=value` lines."""
    return "\n".join(f"{key}={value}" for key, value in values.items())
