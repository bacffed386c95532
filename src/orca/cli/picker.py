"""A list at the terminal from which one entry is picked: by arrow keys, by its number, or by typing a part of it."""

import codecs
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from orca.cli.failures import UsageError
from orca.cli.output import Output, Part, Styled

try:
    import termios
    import tty
except ImportError:  # Windows, where the list is numbered instead
    tty = None  # type: ignore[assignment]

_ROWS = 10
_NEW = -1
_SEQUENCE = 3
"""Characters that an arrow key sends."""
_ESCAPE_SECONDS = 0.05
_KEYS: Final = {"\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\r": "enter", "\n": "enter",
                "\x7f": "back", "\b": "back", "\x15": "clear", "\x1b": "leave", "\x04": "leave"}  # fmt: skip


@dataclass
class _List:
    """What is shown: the entries that match what was typed, one of them marked."""

    options: Sequence[str]
    new: str = ""
    typed: str = ""
    at: int = 0

    @property
    def found(self) -> list[int]:
        """The entries with that number, or that contain what was typed; an equal one alone. -1 is a new name."""
        if self.typed.isdecimal() and 0 < int(self.typed) <= len(self.options):
            return [int(self.typed) - 1]
        words = self.typed.casefold()
        equal = [index for index, option in enumerate(self.options) if option.casefold() == words]
        containing = [index for index, option in enumerate(self.options) if words in option.casefold()]
        return equal or containing + ([_NEW] if self.new and self.typed.strip() else [])

    def press(self, key: str) -> None:
        """Move the mark, or change what was typed."""
        if key in {"up", "down"}:
            self.at = (self.at + (1 if key == "down" else -1)) % max(len(self.found), 1)
            return
        self.typed = {"back": self.typed[:-1], "clear": ""}.get(key, self.typed + (key if key.isprintable() else ""))
        self.at = 0

    def name(self, index: int) -> str:
        """Return an entry as it is shown."""
        return self.new.format(self.typed.strip()) if index == _NEW else self.options[index]

    def lines(self, question: str) -> Iterator[Sequence[Part]]:
        """Return the lines to draw: the question, then a window of the entries around the mark."""
        yield [Styled(question, "bold"), " ", self.typed or Styled("arrow keys, or type a part of it", "dim")]
        found = self.found
        first = max(0, min(self.at - _ROWS // 2, len(found) - _ROWS))
        for place, index in enumerate(found[first : first + _ROWS], first):
            shown = f"{index + 1 or '':>3}  {self.name(index)}"
            yield [Styled(f">{shown}", "cyan")] if place == self.at else [f" {shown}"]
        if not found:
            yield [Styled("      nothing is called so", "dim")]
        elif len(found) > _ROWS:
            yield [Styled(f"     {len(found)} in all", "dim")]


def pick_one(output: Output, question: str, options: Sequence[str], *, at: int = 0, new: str = "") -> int | str:
    """Return the index of the picked entry; with `new`, a text for what is not there, also another name as typed.

    Raises KeyboardInterrupt when the user leaves.
    """
    if tty is None or not output.err.can_redraw:
        return _ask_number(output, question, options, new)
    shown, drawn = _List(options, new, at=at), 0
    with _single_keys():
        try:
            while True:
                drawn = output.err.redraw(list(shown.lines(question)), drawn)
                key = _read_key()
                if key == "leave":
                    raise KeyboardInterrupt
                if key != "enter":
                    shown.press(key)
                elif shown.found:
                    break
        finally:
            output.err.redraw([], drawn)
    picked = shown.found[shown.at]
    output.err.line(Styled(question, "bold"), " ", shown.name(picked))
    return shown.typed.strip() if picked == _NEW else picked


def _ask_number(output: Output, question: str, options: Sequence[str], new: str) -> int | str:
    for number, option in enumerate(options, 1):
        output.err.line(f"{number:>3}  {option}")
    output.err.prompt(f"{question} Its number{', or a new name' if new else ''}:")
    shown = _List(options, new, sys.stdin.readline().strip())
    found = shown.found
    if len(found) == 1 or found[-1:] == [_NEW]:
        return shown.typed if found[0] == _NEW else found[0]
    raise UsageError("nothing was picked", hint="Nothing was changed.")


@contextmanager
def _single_keys() -> Iterator[None]:
    """Let the terminal pass on each key by itself, without showing it; Ctrl-C still interrupts."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _read_key() -> str:
    """Return the name of a key in `_KEYS`, or its character. What was typed ahead stays in the terminal."""
    number = sys.stdin.fileno()
    decoder, key = codecs.getincrementaldecoder("utf-8")("replace"), ""
    while not key:
        byte = os.read(number, 1)
        if not byte:
            return "leave"
        key = decoder.decode(byte)
    while key[0] == "\x1b" and len(key) < _SEQUENCE and select.select([number], [], [], _ESCAPE_SECONDS)[0]:
        key += decoder.decode(os.read(number, 1))
    return _KEYS.get(key, key)
