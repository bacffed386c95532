"""The only writer of the command: tables, logs and JSON, with nothing in them that could play with a terminal."""

import json
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TextIO

from orca.cli.failures import CommandFailed
from orca.kit.text import clean_output

Style = Literal["bold", "dim", "red", "green", "yellow", "cyan"]
_SGR: Final[dict[Style, str]] = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_RESET = "\x1b[0m"
_ERASE = "\r\x1b[K"
_MIN_COLUMN = 8


@dataclass(frozen=True, slots=True)
class Styled:
    """Text with one look."""

    text: str
    style: Style


Part = str | Styled


class ReaderGone(Exception):
    """Nobody reads our output any more (`orc logs | head`)."""


class Screen:
    """One output stream: knows whether it is a terminal, and lets only clean text through."""

    def __init__(self, stream: TextIO, environment: Mapping[str, str]) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        plain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
        self.has_colours = self.is_terminal and not plain
        self.can_redraw = self.is_terminal and environment.get("TERM") != "dumb"
        self._status = ""

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return shutil.get_terminal_size().columns

    def line(self, *parts: Part) -> None:
        """One line; line breaks inside of texts become spaces."""
        self.write("".join(map(self._paint, parts)) + "\n")

    def prompt(self, *parts: Part) -> None:
        """A question; the answer is typed behind it."""
        self.write("".join(map(self._paint, parts)) + " ")

    def text(self, text: str) -> None:
        """Several lines of a program's output: colours stay where there are some, other sequences never."""
        cleaned = clean_output(text.replace("\r\n", "\n").replace("\r", "\n"), colours=self.has_colours)
        self.write(cleaned + (_RESET if self.has_colours and "\x1b" in cleaned else ""))

    def prefixed(self, prefix: Sequence[Part], text: str) -> None:
        """One line of a program's output behind a prefix of ours."""
        self.write("".join(map(self._paint, prefix)))
        self.text(text + "\n")

    def value(self, text: str) -> None:
        """A value that somebody asked for: exact where a program reads it, clean on a terminal."""
        self.write(clean_output(text, colours=False) + "\n" if self.is_terminal else text)

    def status(self, *parts: Part) -> None:
        """A last line that is drawn over by whatever comes next. Nothing where lines cannot be drawn over."""
        if not self.can_redraw:
            return
        shown = "".join(self._paint(part) for part in _fit(parts, self.width - 1))
        if shown != self._status:
            self._put(_ERASE + shown)
            self._status = shown

    def clear_status(self) -> None:
        """Take the last line away."""
        if self._status:
            self._put(_ERASE)
            self._status = ""

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Part]]) -> None:
        """Columns under a header; cells are cut only where a terminal would break them."""
        cells: list[list[Part]] = [[Styled(name, "bold") for name in header]]
        cells += [[_flat(cell) for cell in row] for row in rows]
        widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
        if self.is_terminal:
            _shrink(widths, self.width - 2 * (len(widths) - 1))
        for row in cells:
            fitted = [_fit([cell], width)[0] for cell, width in zip(row, widths, strict=True)]
            last = len(fitted) - 1
            gaps = [" " * (widths[i] - _width(cell) + 2) if i < last else "" for i, cell in enumerate(fitted)]
            self.line(*(part for cell, gap in zip(fitted, gaps, strict=True) for part in (cell, gap)))

    def facts(self, pairs: Iterable[tuple[str, Part]]) -> None:
        """Names and values beneath each other."""
        shown = list(pairs)
        column = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.line(Styled(f"{name:<{column}}", "dim"), "  ", value)

    def write(self, text: str) -> None:
        """Write what is clean already."""
        self.clear_status()
        self._put(text)

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise ReaderGone from None

    def _paint(self, part: Part) -> str:
        flat = _flat(part)
        if isinstance(flat, Styled):
            return f"\x1b[{_SGR[flat.style]}m{flat.text}{_RESET}" if self.has_colours else flat.text
        return flat


class Output:
    """What a command says: answers on stdout, everything else on stderr."""

    def __init__(self, environment: Mapping[str, str], *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = Screen(sys.stdout, environment)
        self.err = Screen(sys.stderr, environment)

    def answer(self, value: Any, draw: Callable[[Screen], None]) -> None:
        """The API's JSON as it is, or a drawing of it."""
        if self.as_json:
            self.out.write(json.dumps(value, indent=2) + "\n")
        else:
            draw(self.out)

    def stream(self, value: Any) -> None:
        """One line of JSON of a stream."""
        self.out.write(json.dumps(value, separators=(",", ":")) + "\n")

    def note(self, *parts: Part) -> None:
        """Something by the way; scripts that read JSON do not want it."""
        if not self.as_json:
            self.err.line(*parts)

    def failure(self, error: CommandFailed) -> None:
        """Cause and next step, or the server's problem as it is."""
        if self.as_json:
            own = {"detail": error.message, "hint": error.hint, "exit_code": error.code}
            own |= {"problems": list(error.details)} if error.details else {}
            self.err.write(json.dumps(error.problem or own, indent=2) + "\n")
            return
        self.err.line(Styled("error:", "red"), " ", error.message)
        fields = (error.problem or {}).get("fields")
        for name, message in fields.items() if isinstance(fields, dict) and len(fields) > 1 else ():
            self.err.line("  ", Styled(str(name), "bold"), ": ", str(message))
        for line in error.details:
            self.err.line("  ", line)
        if error.hint:
            self.err.line(Styled("hint:", "cyan"), " ", error.hint)


def _flat(part: Part) -> Part:
    if isinstance(part, Styled):
        return Styled(_one_line(part.text), part.style)
    return _one_line(part)


def _one_line(text: str) -> str:
    cleaned = clean_output(text, colours=False)
    return cleaned.replace("\n", " ").replace("\r", " ").replace("\t", " ")


def _width(part: Part) -> int:
    text = part.text if isinstance(part, Styled) else part
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
               for each in text)  # fmt: skip


def _fit(parts: Sequence[Part], width: int) -> list[Part]:
    """The parts cut to a width, with an ellipsis where something is missing."""
    fitted: list[Part] = []
    left = width
    for part in map(_flat, parts):
        fitted.append(_cut(part, left))
        left -= _width(fitted[-1])
    return fitted


def _cut(part: Part, width: int) -> Part:
    if _width(part) <= width:
        return part
    text = part.text if isinstance(part, Styled) else part
    while text and _width(text) > width - 1:
        text = text[:-1]
    text = text + "…" if width > 0 else ""
    return Styled(text, part.style) if isinstance(part, Styled) else text


def _shrink(widths: list[int], room: int) -> None:
    """Take from the widest column until all fit, but leave each something to read."""
    while sum(widths) > room and max(widths) > _MIN_COLUMN:
        widths[widths.index(max(widths))] -= 1
