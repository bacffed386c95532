"""Finds the here-documents that an instruction opens; ambiguous ones are refused. Pure."""

import re
from dataclasses import dataclass

_OPENER = re.compile(r"\d*<<(?P<strip>-?)(?P<quote>[\"']?)(?P<name>[A-Za-z0-9_.-]+)(?P=quote)")
_LIKE_AN_OPENER = re.compile(r"\d*<<-?[^<]+")


class AmbiguousHeredoc(ValueError):
    """A word may or may not open a here-document."""


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document: the line that ends it, and whether leading tabs of its lines are removed."""

    name: str
    strips_tabs: bool


def find_heredocs(text: str) -> list[Heredoc]:
    """Return the here-documents of an instruction's arguments.

    Raises AmbiguousHeredoc if escapes or ${…} precede a word that may open one: parsers may split these differently.
    """
    found: list[Heredoc] = []
    begin, quote, certain = 0, "", True
    for at, char in enumerate(f"{text} "):
        if not quote and char.isspace():
            if document := _read_word(text[begin:at], certain=certain):
                found.append(document)
            begin = at + 1
        elif char in "\\`" or text.startswith("${", at):
            certain = False
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
    if quote and "<<" in text:
        raise AmbiguousHeredoc
    return found


def _read_word(word: str, *, certain: bool) -> Heredoc | None:
    if certain:
        match = _OPENER.fullmatch(word)
        if match is None and _LIKE_AN_OPENER.fullmatch(word):
            raise AmbiguousHeredoc
        return Heredoc(match["name"], bool(match["strip"])) if match else None
    if "<<" in word and any(_LIKE_AN_OPENER.fullmatch(piece) for piece in word.split()):
        raise AmbiguousHeredoc
    return None
