"""The only writer of the command: tables, logs and JSON, without sequences that could control a terminal."""

import json
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TextIO

from orca.cli.failures import CommandFailed
from orca.kit.text import clean_output

Style = Literal["bold", "dim", "red", "green", "yellow", "cyan"]
_SGR: Final[dict[Style, str]] = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_RESET = "\x1b[0m"
_ERASE = "\r\x1b[K"
_MIN_COLUMN = 8
_SHORT_ID = 8
_READABLE = 40
"""Characters of a cell below which another column is left out rather than this one cut."""


@dataclass(frozen=True, slots=True)
class Styled:
    """Text with one style."""

    text: str
    style: Style | None
    glyph: str = ""
    """A sign before the text, on terminals that can show it."""
    label: str = ""
    """Words for people in place of the text, only on a terminal."""
    is_id: bool = False
    """Cut in tables on a terminal, to the length that keeps all ids of the column apart."""


Part = str | Styled


class ReaderGone(Exception):
    """The reader of our output is gone (`orc logs | head`)."""


class Screen:
    """One output stream: knows whether it is a terminal, and lets only clean text through."""

    def __init__(self, stream: TextIO, environment: Mapping[str, str]) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        plain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
        self.has_colours = self.is_terminal and not plain
        self.can_redraw = self.is_terminal and environment.get("TERM") != "dumb"
        self._has_glyphs = self.can_redraw and (stream.encoding or "").lower().replace("-", "") == "utf8"
        self._status = ""

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return shutil.get_terminal_size().columns

    def line(self, *parts: Part) -> None:
        """Print one line; line breaks inside of texts become spaces."""
        self.write("".join(map(self._paint, parts)) + "\n")

    def prompt(self, *parts: Part) -> None:
        """Print a question; the answer is typed after it."""
        self.write("".join(map(self._paint, parts)) + " ")

    def text(self, text: str) -> None:
        """Print several lines of a program's output: colours stay if the terminal has them, other sequences never."""
        cleaned = clean_output(text.replace("\r\n", "\n").replace("\r", "\n"), colours=self.has_colours)
        self.write(cleaned + (_RESET if self.has_colours and "\x1b" in cleaned else ""))

    def prefixed(self, prefix: Sequence[Part], text: str) -> None:
        """Print one line of a program's output after a prefix."""
        self.write("".join(map(self._paint, prefix)))
        self.text(text + "\n")

    def value(self, text: str) -> None:
        """Print a requested value: exactly for a program, without control sequences on a terminal."""
        self.write(clean_output(text, colours=False) + "\n" if self.is_terminal else text)

    def status(self, *parts: Part) -> None:
        """Print a status line, which the next output overwrites; nothing if the output is not a terminal."""
        if not self.can_redraw:
            return
        shown = "".join(self._paint(part) for part in _fit(parts, self.width - 1))
        if shown != self._status:
            self._put(_ERASE + shown)
            self._status = shown

    def redraw(self, lines: Sequence[Sequence[Part]], before: int) -> int:
        """Draw lines in place of the `before` lines that were drawn last; return their number."""
        self.clear_status()
        shown = ["".join(map(self._paint, _fit(line, self.width - 1))) + "\n" for line in lines]
        self._put((f"\x1b[{before}A\r\x1b[J" if before else "") + "".join(shown))
        return len(shown)

    def clear_status(self) -> None:
        """Remove the status line."""
        if self._status:
            self._put(_ERASE)
            self._status = ""

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Part]], spare: Sequence[str] = ()) -> None:
        """Print columns under a header. Where a terminal would wrap them, `spare` ones go first, then cells are cut."""
        cells: list[list[Part]] = [[Styled(name, "bold") for name in header]]
        cells += [[self._settle(cell) for cell in row] for row in _shorten_ids(list(rows))]
        widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
        if self.is_terminal:
            kept = _choose_columns(header, widths, self.width, spare)
            cells, widths = [[row[index] for index in kept] for row in cells], [widths[index] for index in kept]
            _shrink(widths, self.width - 2 * (len(widths) - 1))
        for row in cells:
            fitted = [_fit([cell], width)[0] for cell, width in zip(row, widths, strict=True)]
            last = len(fitted) - 1
            gaps = [" " * (widths[i] - _width(cell) + 2) if i < last else "" for i, cell in enumerate(fitted)]
            self.line(*(part for cell, gap in zip(fitted, gaps, strict=True) for part in (cell, gap)))

    def facts(self, pairs: Iterable[tuple[str, Part]]) -> None:
        """Print names and values, one pair per line."""
        shown = list(pairs)
        column = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.line(Styled(f"{name:<{column}}", "dim"), "  ", value)

    def write(self, text: str) -> None:
        """Write a text that is clean already."""
        self.clear_status()
        self._put(text)

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise ReaderGone from None

    def _settle(self, part: Part) -> Part:
        """Return the part as this screen shows it: on one line, and with its sign and label on a terminal."""
        if isinstance(part, Styled) and (part.glyph or part.label) and self.is_terminal:
            text = part.label or part.text
            return _flat(Styled(f"{part.glyph} {text}" if part.glyph and self._has_glyphs else text, part.style))
        return _flat(part)

    def _paint(self, part: Part) -> str:
        flat = self._settle(part)
        if not isinstance(flat, Styled):
            return flat
        return f"\x1b[{_SGR[flat.style]}m{flat.text}{_RESET}" if flat.style and self.has_colours else flat.text


class Output:
    """The output of a command: results on stdout, everything else on stderr."""

    def __init__(self, environment: Mapping[str, str], *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = Screen(sys.stdout, environment)
        self.err = Screen(sys.stderr, environment)

    def answer(self, value: Any, draw: Callable[[Screen], None]) -> None:
        """Print a result: the API's JSON unchanged, or drawn for people."""
        if self.as_json:
            self.out.write(json.dumps(value, indent=2) + "\n")
        else:
            draw(self.out)

    def table(
        self,
        page: Mapping[str, Any],
        columns: Sequence[str],
        draw_row: Callable[[dict[str, Any]], Sequence[Part]],
        *,
        empty: str,
        spare: Sequence[str] = (),
    ) -> None:
        """Print a list of the API: as a table, or `empty` where nothing is in it. See `Screen.table` for `spare`."""

        def draw(screen: Screen) -> None:
            if page["items"]:
                screen.table(columns, map(draw_row, page["items"]), spare=spare)
            else:
                screen.line(empty)

        self.answer(page, draw)

    def stream(self, value: Any) -> None:
        """Print one line of JSON of a stream."""
        self.out.write(json.dumps(value, separators=(",", ":")) + "\n")

    def note(self, *parts: Part) -> None:
        """Print a remark; omitted with JSON output."""
        if not self.as_json:
            self.err.line(*parts)

    def failure(self, error: CommandFailed) -> None:
        """Print cause and next step, or the server's problem unchanged."""
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
    return sum(0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
               for character in text)  # fmt: skip


def _fit(parts: Sequence[Part], width: int) -> list[Part]:
    """Cut the parts to a width, with an ellipsis where something is missing."""
    fitted: list[Part] = []
    left = width
    for part in map(_flat, parts):
        fitted.append(_cut(part, left))
        left -= _width(fitted[-1])
    return fitted


def _cut(part: Part, width: int) -> Part:
    if _width(part) <= width:
        return part
    longest = 4 * max(width, 0) + _MIN_COLUMN  # the length of the text is the server's choice
    text = (part.text if isinstance(part, Styled) else part)[:longest]
    while text and _width(text) > width - 1:
        text = text[:-1]
    text = text + "…" if width > 0 else ""
    return Styled(text, part.style) if isinstance(part, Styled) else text


def show_id(text: str) -> Part:
    """Return an id for a table: on a terminal its beginning, which commands accept as well."""
    return Styled(text, "dim", is_id=True)


def _shorten_ids(rows: Sequence[Sequence[Part]]) -> Sequence[Sequence[Part]]:
    ids = {cell.text for row in rows for cell in row if isinstance(cell, Styled) and cell.is_id}
    size = next((size for size in range(_SHORT_ID, 36) if len({text[:size] for text in ids}) == len(ids)), 36)
    return [
        [
            replace(cell, label=cell.text[:size].rstrip("-")) if isinstance(cell, Styled) and cell.is_id else cell
            for cell in row
        ]
        for row in rows
    ]


def _choose_columns(header: Sequence[str], widths: Sequence[int], room: int, spare: Sequence[str]) -> list[int]:
    """Return the columns that stay readable side by side; those of `spare` are left out one by one."""
    kept = list(range(len(header)))
    for name in spare:
        if sum(min(widths[index], _READABLE) + 2 for index in kept) - 2 <= room:
            break
        kept.remove(header.index(name))
    return kept


def _shrink(widths: list[int], room: int) -> None:
    """Narrow the widest columns until all fit, but leave each a readable width."""
    while sum(widths) > room and max(widths) > _MIN_COLUMN:
        widths[widths.index(max(widths))] -= 1
