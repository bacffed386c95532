"""Parses `.env` files: KEY=value lines with comments, `export`, quotes and values over several lines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_DIGIT = re.compile(r"[ \t]*(?:export[ \t]+)?[0-9][A-Za-z0-9_]*[ \t]*=")
_COMMENT = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_SINGLE = re.compile(r"'(?P<value>[^']*)'")
_DOUBLE = re.compile(r'"(?P<value>(?:[^"\\]|\\.)*)"', re.DOTALL)
_REST = re.compile(r"(?P<line>[^\n]*)(?:\n|\Z)")
_REMARK = re.compile(r"[ \t]#")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"}
"""The backslash first, as the others add some."""
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\n": ""}


MOST_PROBLEMS = 100


class BadLine(Exception):
    """A line that is not an assignment."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


class Assignment(NamedTuple):
    """One KEY=value and the line where it begins."""

    line: int
    key: str
    value: str


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    _counted: int = 0
    _line: int = 1

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    @property
    def line(self) -> int:
        """Return the current line number; only the text read since the last call is counted."""
        begin, self._counted = self._counted, self.at
        if begin <= self.at:
            self._line += self.text.count("\n", begin, self.at)
        else:
            self._line -= self.text.count("\n", self.at, begin)
        return self._line

    def fail(self, problem: str) -> BadLine:
        return BadLine(self.line, problem)


def parse_dotenv(text: str) -> dict[str, str]:
    """Return the variables; later lines win, and nothing is expanded. Raises BadLine, which never contains a value."""
    found, problems = read_dotenv(text)
    if problems:
        raise problems[0]
    return {assignment.key: assignment.value for assignment in found}


def read_dotenv(text: str, *, most: int = 100_000) -> tuple[list[Assignment], list[BadLine]]:
    """Return every assignment in order, and every bad line, after which parsing continues.

    Parsing stops early, after one more assignment than `most`, or after MOST_PROBLEMS.
    """
    reader = _Reader(text.replace("\r\n", "\n").removeprefix("\ufeff"))
    found: list[Assignment] = []
    problems: list[BadLine] = []
    while reader.at < len(reader.text) and len(found) <= most and len(problems) < MOST_PROBLEMS:
        if reader.take(_COMMENT):
            continue
        begin = reader.at
        try:
            found.append(_assignment(reader))
        except BadLine as problem:
            problems.append(problem)
            reader.at = begin
            reader.take(_REST)
    return found, problems


def write_dotenv(values: Mapping[str, str]) -> str:
    """Return lines that `read_dotenv` reads as the same values; simple ones are not quoted."""
    return "".join(f"{key}={_written(value)}\n" for key, value in values.items())


def _written(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value and "\r" not in value:
        return f"'{value}'"
    for character, escape in _ESCAPES.items():
        value = value.replace(character, escape)
    return f'"{value}"'


def _assignment(reader: _Reader) -> Assignment:
    number, line = reader.line, reader.take(_LINE)
    if line is None:
        raise reader.fail("a name cannot begin with a digit" if reader.take(_DIGIT) else "KEY=value is expected")
    return Assignment(number, line["key"], _value(reader))


def _value(reader: _Reader) -> str:
    quote = reader.text[reader.at : reader.at + 1]
    if quote not in {"'", '"'}:
        rest = reader.take(_REST)
        return _REMARK.split(rest["line"], maxsplit=1)[0].rstrip(" \t") if rest else ""
    quoted = reader.take(_SINGLE if quote == "'" else _DOUBLE)
    if quoted is None:
        raise reader.fail(f"the closing {quote} is missing")
    if reader.take(_COMMENT) is None:
        raise reader.fail(f"something follows the closing {quote}")
    if quote == "'":
        return quoted["value"]
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), quoted["value"])
