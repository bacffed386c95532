"""Pure decisions about lines: what they are, how severe, and which of them are wanted."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LEVELS: Final = ("", "debug", "info", "warn", "error", "fatal")
"""By their number in the store; the first is that of lines that name none."""
STREAMS: Final = ("stdout", "stderr")
_HEAD = 200
"""Bytes in which a line says how severe it is."""
_WORDS: Final = {
    b"trace": 1, b"debug": 1, b"dbg": 1, b"info": 2, b"notice": 2, b"information": 2, b"warn": 3, b"warning": 3,
    b"wrn": 3, b"error": 4, b"err": 4, b"severe": 4, b"fatal": 5, b"critical": 5, b"crit": 5, b"panic": 5, b"emerg": 5,
    b"alert": 5,
}  # fmt: skip
_VALUES: Final = _WORDS | {b"10": 1, b"20": 1, b"30": 2, b"40": 3, b"50": 4, b"60": 5}
"""Words for levels, and the numbers that JSON loggers of Node.js and Python write."""
_PARTS: Final = {b"dbg", b"wrn", b"err", b"crit", b"emerg", b"alert"}
_CAPITALS: Final = tuple(word.upper() for word in _WORDS if word not in _PARTS)
"""Without those that are parts of other words."""
_BRACKETS: Final = ((b"[", b"]"), (b"<", b">"), (b"(", b")"))
_BRACKETED: Final = {left + word + right: _WORDS[word] for word in _WORDS for left, right in _BRACKETS}
_LEVELS_OF: Final = {
    **{word: _WORDS[word.lower()] for word in _CAPITALS},
    **_BRACKETED,
    b"rror:": 4, b"arning:": 3, b"anic:": 5, b"atal:": 5,
}  # fmt: skip
# Every alternative of these begins with a letter of its own: only then are other letters skipped quickly.
_FIELD = re.compile(
    rb'(?:evel(?:name)?|EVEL(?:NAME)?|everity|EVERITY|lvl|LVL)"? {0,2}[=:] {0,2}"?'
    rb"([A-Za-z]{3,11}|[1-6]0)(?![A-Za-z0-9])"
)
_FIELD_SIGNS: Final = (b"evel", b"EVEL", b"everity", b"EVERITY", b"lvl", b"LVL")
_WORD = re.compile(
    b"|".join(
        [
            *(word + b"(?<![A-Za-z]" + word + b")(?![A-Za-z])" for word in _CAPITALS),
            *map(re.escape, _BRACKETED),
            rb"rror(?<=[eE]rror)(?<![A-Za-z].rror):", rb"arning(?<=[wW]arning)(?<![A-Za-z].arning):",
            rb"anic(?<=panic)(?<![A-Za-z].anic):", rb"atal(?<=fatal)(?<![A-Za-z].atal):",
        ]
    )
)  # fmt: skip
_COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")


@dataclass(frozen=True, slots=True)
class Writer:
    """The replica that wrote a line."""

    id: str
    """The first characters of the engine's id."""
    replica: int
    release: int
    """The number of its release; 0 where it is not known."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line to be stored."""

    at: int
    """Microseconds since 1970."""
    writer: Writer
    is_error: bool
    """Whether it was written to stderr."""
    text: str


@dataclass(frozen=True, slots=True)
class StoredLine:
    """One line of a service's timeline, by its number in it."""

    number: int
    at: int
    writer: Writer
    is_error: bool
    level: int
    text: str
    is_match: bool = True
    """False for a line that is shown because it stands next to a match."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines are wanted; every field that is set must hold."""

    text: str = ""
    """Without regard to the case of ASCII letters."""
    levels: frozenset[int] = frozenset()
    stream: str = ""
    replica: int | None = None
    release: int | None = None
    since: int | None = None
    until: int | None = None

    @property
    def is_by_line(self) -> bool:
        """Whether lines must be looked at, as more than a time or a level is wanted."""
        return bool(self.text or self.stream) or self.replica is not None or self.release is not None


EVERYTHING: Final = Filter()


def find_levels(text: bytes, ends: Iterable[int]) -> list[int]:
    """Return the levels of joined lines: that of a field (`level=warn`, JSON), else of a word; else 0.

    Many at a time, as each of them may cost two microseconds at most.
    """
    has_fields, has_colours = any(sign in text for sign in _FIELD_SIGNS), b"\x1b" in text
    levels, begin = [], 0
    for end in ends:
        head, first, last = text, begin, min(end, begin + _HEAD)
        if has_colours:
            head = strip_colours(text[first:last])
            first, last = 0, len(head)
        if has_fields and (named := _FIELD.search(head, first, last)):
            levels.append(_VALUES.get(named[1].lower(), 0))
        else:
            word = _WORD.search(head, first, last)
            levels.append(_LEVELS_OF[word[0]] if word else 0)
        begin = end + 1
    return levels


def strip_colours(text: bytes) -> bytes:
    """Remove SGR sequences, so that words are found that colours break up."""
    return _COLOURS.sub(b"", text) if b"\x1b" in text else text
