"""Renders colours of program output as spans with classes; `frontend/src/js/sgr.js` does so for later lines."""

import re
from collections.abc import Callable, Iterator

from markupsafe import Markup, escape

_SEQUENCE = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[^\[]?")
_STYLES = frozenset("12349")
_ENDS = {"22": "12", "23": "3", "24": "4", "29": "9"}
_FOREGROUND = re.compile(r"[39][0-7]")
_BACKGROUND = re.compile(r"(?:4|10)[0-7]")
_SMALL = re.compile(r"[0-9]{1,3}")
_NORMAL, _BRIGHT = 8, 16
"""Of the 256 colours, the first eight (normal) and the next eight (bright) have classes."""


def painter() -> Callable[[str], Markup]:
    """Return a function that renders line after line; colours that were not reset continue in the next line."""
    pen = _Pen()

    def paint(line: str) -> Markup:
        text = line[line.rfind("\r") + 1 :]
        if "\x1b" not in text and not pen.classes:
            return escape(text)
        parts, start = [], 0
        for match in _SEQUENCE.finditer(text):
            parts.append(pen.draw(text[start : match.start()]))
            if match[1] is not None:
                pen.turn(match[1])
            start = match.end()
        parts.append(pen.draw(text[start:]))
        return Markup("".join(parts))  # noqa: S704 - each part was escaped

    return paint


class _Pen:
    def __init__(self) -> None:
        self.on: list[str] = []
        self.foreground = self.background = ""
        self.classes = ""

    def draw(self, text: str) -> str:
        return f'<span class="{self.classes}">{escape(text)}</span>' if text and self.classes else escape(text)

    def turn(self, sequence: str) -> None:
        codes = iter(re.split("[;:]", sequence))
        for code in codes:
            self._turn(code or "0", codes)
        self.classes = " ".join(f"sgr-{code}" for code in (*self.on, self.foreground, self.background) if code)

    def _turn(self, code: str, following: Iterator[str]) -> None:
        if code == "0":
            self.on, self.foreground, self.background = [], "", ""
        elif code in _STYLES:
            self.on += [code] if code not in self.on else []
        elif code in _ENDS:
            self.on = [style for style in self.on if style not in _ENDS[code]]
        elif code in {"38", "48"}:
            self._extend(30 if code == "38" else 40, following)
        elif code == "39" or _FOREGROUND.fullmatch(code):
            self.foreground = code if code != "39" else ""
        elif code == "49" or _BACKGROUND.fullmatch(code):
            self.background = code if code != "49" else ""

    def _extend(self, base: int, following: Iterator[str]) -> None:
        """Parse an extended colour: one of 256, or three RGB numbers, which have no class."""
        if next(following, "") != "5":
            for _ in range(3):
                next(following, "")
            return
        text = next(following, "")
        colour = int(text) if _SMALL.fullmatch(text) else _BRIGHT
        code = str(base + colour) if colour < _NORMAL else str(base + 52 + colour) if colour < _BRIGHT else ""
        if base == 30:  # noqa: PLR2004 - where the foreground colours begin
            self.foreground = code
        else:
            self.background = code
