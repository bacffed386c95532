"""Pure decisions about lines: what they are, how severe, and which of them are wanted."""

import re
from dataclasses import dataclass, field
from typing import Final

LEVELS: Final = ("", "debug", "info", "warn", "error", "fatal")
"""By their number in the store; the first is that of lines that name none."""
STREAMS: Final = ("stdout", "stderr")
_HEAD = 200
"""Characters in which a line says how severe it is."""
_WORDS: Final = {
    "trace": 1, "debug": 1, "dbg": 1, "info": 2, "notice": 2, "information": 2, "warn": 3, "warning": 3, "wrn": 3,
    "error": 4, "err": 4, "severe": 4, "fatal": 5, "critical": 5, "crit": 5, "panic": 5, "emerg": 5, "alert": 5,
    "10": 1, "20": 1, "30": 2, "40": 3, "50": 4, "60": 5,
}  # fmt: skip
"""Words for levels, and the numbers that JSON loggers of Node.js and Python write."""
_FIELD = re.compile(
    r'(?:level|lvl|severity|levelname)"? {0,2}[=:] {0,2}"?([a-z]{3,11}|[1-6]0)(?![a-z0-9])', re.IGNORECASE
)
_BRACKETED = re.compile(r"[\[<(]([a-z]{3,11})[\])>]")
_FIELD_SIGNS: Final = ("evel", "EVEL", "everity", "EVERITY", "lvl", "LVL")
"""Parts of those fields' names: looking for these first is ten times as quick as the pattern."""
_CAPITALS: Final = tuple(
    (word.upper(), level)
    for word, level in _WORDS.items()
    if len(word) > 3 and word not in {"alert", "emerg", "crit"}  # noqa: PLR2004 - shorter ones are parts of anything
)
_BEFORE_COLON: Final = (("rror:", "eE", 4), ("arning:", "wW", 3), ("anic:", "p", 5), ("atal:", "f", 5))
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_COLOUR_BYTES = re.compile(rb"\x1b\[[0-9;:]*m")


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
    needle: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        object.__setattr__(self, "needle", self.text.lower().encode(errors="replace"))

    @property
    def is_by_line(self) -> bool:
        """Whether lines must be looked at, as more than a time is wanted."""
        return bool(self.text or self.levels or self.stream) or self.replica is not None or self.release is not None


def find_level(text: str) -> int:
    """Return the level that a line names in a field (`level=warn`, JSON) or as a word at its beginning; 0 for none."""
    head = text[:_HEAD]
    if "\x1b" in head:
        head = _COLOURS.sub("", head)
    if any(sign in head for sign in _FIELD_SIGNS) and (match := _FIELD.search(head)):
        return _WORDS.get(match[1].lower(), 0)
    level, place = _find_word(head)
    if "[" in head or "<" in head or "(" in head:
        for match in _BRACKETED.finditer(head, 0, place):
            if match[1] in _WORDS:
                return _WORDS[match[1]]
    return level


def _find_word(head: str) -> tuple[int, int]:
    """Return the level of the first word in capitals, or of one like `Error:`, and where it stands."""
    level, first = 0, len(head)
    for word, number in _CAPITALS:
        place = head.find(word, 0, first)
        if place >= 0 and _stands_alone(head, place, place + len(word)):
            level, first = number, place
    for rest, initials, number in _BEFORE_COLON:
        place = head.find(rest, 0, first) - 1
        if place >= 0 and head[place] in initials and not head[place - 1 : place].isalpha():
            level, first = number, place
    return level, first


def _stands_alone(text: str, begin: int, end: int) -> bool:
    return not (text[begin - 1 : begin] if begin else "").isalpha() and not text[end : end + 1].isalpha()


def strip_colours(text: bytes) -> bytes:
    """Remove SGR sequences, so that words are found that colours break up."""
    return _COLOUR_BYTES.sub(b"", text) if b"\x1b" in text else text
