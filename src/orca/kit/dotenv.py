"""Files of KEY=value lines, as `.env` files are written: comments, `export`, quotes, values over several lines."""

import re
from dataclasses import dataclass
from typing import NamedTuple

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_COMMENT = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_PLAIN = re.compile(r"(?P<value>[^\n]*?)(?:[ \t]+#[^\n]*)?[ \t]*(?:\n|\Z)")
_SINGLE = re.compile(r"'(?P<value>[^']*)'")
_DOUBLE = re.compile(r'"(?P<value>(?:[^"\\]|\\.)*)"', re.DOTALL)
_REST = re.compile(r"[^\n]*(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\n": ""}


class BadLine(Exception):
    """A line that is no assignment."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


class Assignment(NamedTuple):
    """One KEY=value and the line it begins at."""

    line: int
    key: str
    value: str


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def fail(self, problem: str) -> BadLine:
        return BadLine(self.line, problem)


def parse_dotenv(text: str) -> dict[str, str]:
    """The variables; a later line wins. Nothing is expanded. Raises BadLine, which never shows a value."""
    found, problems = read_dotenv(text)
    if problems:
        raise problems[0]
    return {each.key: each.value for each in found}


def read_dotenv(text: str) -> tuple[list[Assignment], list[BadLine]]:
    """Every assignment in order, and every line that is none: reading goes on behind it."""
    reader = _Reader(text.replace("\r\n", "\n").removeprefix("\ufeff"))
    found: list[Assignment] = []
    problems: list[BadLine] = []
    while reader.at < len(reader.text):
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


def _assignment(reader: _Reader) -> Assignment:
    number, line = reader.line, reader.take(_LINE)
    if line is None:
        raise reader.fail("KEY=value is expected")
    return Assignment(number, line["key"], _value(reader))


def _value(reader: _Reader) -> str:
    quote = reader.text[reader.at : reader.at + 1]
    if quote not in {"'", '"'}:
        plain = reader.take(_PLAIN)
        return plain["value"] if plain else ""
    quoted = reader.take(_SINGLE if quote == "'" else _DOUBLE)
    if quoted is None:
        raise reader.fail(f"the closing {quote} is missing")
    if reader.take(_COMMENT) is None:
        raise reader.fail(f"something follows the closing {quote}")
    if quote == "'":
        return quoted["value"]
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), quoted["value"])
