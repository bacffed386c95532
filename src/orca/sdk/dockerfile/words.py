"""Variables in a Dockerfile: expands words like BuildKit's own small shell, within limits. Pure."""

import re
from collections.abc import Callable, Iterator

VALUE_LIMIT = 64 << 10
"""Maximum size of a value: one that contains another twice would double with every line, also in the engine."""
_DEPTH = 10
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?!$-]")

LookUp = Callable[[str], str | None]


class BadWord(ValueError):
    """A word that cannot be expanded."""


class UnknownForm(BadWord):
    """A form of ${…} that only newer engines support."""


def split_words(text: str, escape: str) -> list[str]:
    """Split ARG, ENV and LABEL into words; quotes and escapes are not removed."""
    words: list[str] = []
    begin, quote, escaped = -1, "", False
    for at, char in enumerate(text):
        if begin < 0 and not char.isspace():
            begin = at
        if escaped:
            escaped = False
        elif char == escape and quote != "'":
            escaped = True
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        elif not quote and char.isspace() and begin >= 0:
            words.append(text[begin:at])
            begin = -1
    return [*words, text[begin:]] if begin >= 0 else words


def pairs_of(text: str, escape: str) -> list[tuple[str, str]]:
    """Return names and unexpanded values of an ENV or LABEL, in either of its forms. Raises BadWord."""
    words = split_words(text, escape)
    if words and "=" not in words[0]:
        name, *value = re.split(r"[ \t]+", text.strip(), maxsplit=1)
        if not value:
            raise BadWord(f"{name[:80]} has no value")
        return [(name, value[0])]
    if bad := next((word for word in words if "=" not in word), None):
        raise BadWord(f"{bad[:80]!r} must be of the form name=value")
    return [(word.partition("=")[0], word.partition("=")[2]) for word in words]


def expand(text: str, look_up: LookUp, escape: str = "\\") -> str:
    """Remove quotes and escapes and replace variables. Raises BadWord for what cannot be expanded."""
    value, at = _Expansion(text, look_up, escape).run(0, "", 0)
    if at != len(text):
        raise BadWord("it has a } too many")
    return value


class _Expansion:
    """One pass over a text. Each character is read once, so that it takes linear time."""

    def __init__(self, text: str, look_up: LookUp, escape: str) -> None:
        self.text, self.look_up, self.escape, self.size = text, look_up, escape, 0

    def value_of(self, name: str) -> str | None:
        value = self.look_up(name)
        self.size += len(value or "")
        if self.size > VALUE_LIMIT:
            raise BadWord(f"its value is longer than {VALUE_LIMIT >> 10} KiB")
        return value

    def run(self, at: int, stop: str, depth: int) -> tuple[str, int]:
        """Expand up to `stop` or the end."""
        if depth > _DEPTH:
            raise BadWord("its variables are nested too deeply")
        parts: list[str] = []
        while at < len(self.text) and (not stop or self.text[at] != stop):
            part, at = self.step(at, depth)
            parts.append(part)
        return "".join(parts), at

    def step(self, at: int, depth: int) -> tuple[str, int]:
        """Expand the next part; return it and the index of the part after it."""
        char = self.text[at]
        if char == "'":
            end = self.text.find("'", at + 1)
            if end < 0:
                raise BadWord("a quote is not closed")
            return self.text[at + 1 : end], end + 1
        if char == '"':
            return self.quoted(at + 1, depth)
        if char == "$":
            return self.variable(at + 1, depth)
        if char == self.escape:
            return self.text[at + 1 : at + 2], at + 2 if at + 1 < len(self.text) else at + 1
        return char, at + 1

    def quoted(self, at: int, depth: int) -> tuple[str, int]:
        parts: list[str] = []
        while at < len(self.text):
            char = self.text[at]
            following = self.text[at + 1 : at + 2]
            if char == '"':
                return "".join(parts), at + 1
            if char == "$":
                part, at = self.variable(at + 1, depth)
            elif char == self.escape and following and following in f'"${self.escape}':
                part, at = following, at + 2
            else:
                part, at = char, at + 1
            parts.append(part)
        raise BadWord("a quote is not closed")

    def variable(self, at: int, depth: int) -> tuple[str, int]:
        if self.text[at : at + 1] != "{":
            match = _NAME.match(self.text, at)
            return (self.value_of(match[0]) or "", match.end()) if match else ("$", at)
        match = _NAME.match(self.text, at + 1)
        if match is None:
            raise BadWord("a ${ is followed by no name")
        value, at = self.value_of(match[0]), match.end()
        colon = self.text[at : at + 1] == ":"
        operator = self.text[at + colon : at + colon + 1]
        if operator == "}" and not colon:
            return value or "", at + 1
        if not operator or operator not in "+-?":
            raise UnknownForm("it uses a form of ${…} that is not supported")
        word, at = self.run(at + colon + 1, "}", depth + 1)
        if at >= len(self.text):
            raise BadWord("a ${ is not closed")
        return _choose(operator, value, word, colon=colon), at + 1


def _choose(operator: str, value: str | None, word: str, *, colon: bool) -> str:
    is_set = bool(value) if colon else value is not None
    if operator == "+":
        return word if is_set else ""
    if operator == "?" and not is_set:
        raise BadWord(f"a variable is required: {word[:80]}")
    return (value or "") if is_set else word


def names_in(text: str, *, followed_by: str = "") -> Iterator[str]:
    """Return the variables that a text contains as `$NAME` or `${NAME`."""
    for match in re.finditer(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", text):
        if text.startswith(followed_by, match.end()):
            yield match[1]
