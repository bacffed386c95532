"""Analyses JavaScript and TypeScript by tokens, in linear time: configuration values, imports and calls.

It is not a parser of the language. It recognises strings, templates, regular expressions and comments, so that comments
and strings are never treated as code, and it knows which keys enclose a value. Pure.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_KEY_DEPTH = 8
_VALUE_DEPTH = 4
_NAME_PARTS = 6
LIMIT = 200_000
"""Maximum characters of a file that are read; the rest is ignored."""
_TOKENS = 60_000
_QUOTES = "'\""
_OPEN, _CLOSE = "([{", ")]}"
_BEFORE_REGEX = frozenset(
    {"return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "await"}
)
_JOINS = frozenset({"resolve", "join", "URL", "normalize"})


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is name, string, number, template (with substitutions), regex or sign."""

    kind: str
    text: str


def tokenize(text: str) -> list[Token]:
    """The tokens of a file, without comments."""
    return list(_Scanner(text[:LIMIT]).tokens())


class _Scanner:
    """One pass over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._braces: list[int] = []
        """For each enclosing template: the number of open braces in its substitution."""
        self._no_regex_before = 0
        self._previous = Token("sign", ";")

    def tokens(self) -> Iterator[Token]:
        for _ in range(_TOKENS):
            self._skip_space()
            if self._at >= len(self._text):
                return
            token = self._next()
            self._previous = token
            yield token

    def _skip_space(self) -> None:
        text = self._text
        while self._at < len(text):
            if text[self._at].isspace():
                self._at += 1
            elif text.startswith(("//", "#!"), self._at):
                self._at = self._line_end()
            elif text.startswith("/*", self._at):
                end = text.find("*/", self._at + 2)
                self._at = len(text) if end < 0 else end + 2
            else:
                return

    def _line_end(self) -> int:
        end = self._text.find("\n", self._at)
        return len(self._text) if end < 0 else end

    def _next(self) -> Token:
        char = self._text[self._at]
        if char in _QUOTES:
            return self._string(char)
        if char == "`":
            self._at += 1
            return self._template("")
        if char.isalpha() or char in "_$@#" or not char.isascii():
            return Token("name", self._take_word())
        if char.isdigit():
            return Token("number", self._take_word().replace("_", ""))
        if char == "/" and (regex := self._regex()):
            return regex
        return self._sign(char)

    def _sign(self, char: str) -> Token:
        self._at += 1
        if self._braces:
            if char == "{":
                self._braces[-1] += 1
            elif char == "}":
                if self._braces[-1] == 0:
                    self._braces.pop()
                    return self._template("${}")
                self._braces[-1] -= 1
        return Token("sign", char)

    def _take_word(self) -> str:
        start = self._at
        self._at += 1
        text = self._text
        while self._at < len(text) and (
            text[self._at].isalnum() or text[self._at] in "_$" or not text[self._at].isascii()
        ):
            self._at += 1
        return text[start : self._at]

    def _string(self, quote: str) -> Token:
        """A string ends with its line at the latest: an apostrophe in JSX text swallows no more than that."""
        text, at, made = self._text, self._at + 1, []
        while at < len(text) and text[at] not in (quote, "\n"):
            if text[at] == "\\":
                at += 1
            if at < len(text):
                made.append(text[at])
            at += 1
        self._at = at + 1
        return Token("string", "".join(made))

    def _template(self, before: str) -> Token:
        """Up to the end of the template, or to the next substitution, whose tokens follow as tokens."""
        text, at, made = self._text, self._at, [before]
        while at < len(text) and text[at] != "`":
            if text[at] == "\\":
                at += 1
            elif text.startswith("${", at):
                self._at = at + 2
                self._braces.append(0)
                return Token("template", "".join(made))
            if at < len(text):
                made.append(text[at])
            at += 1
        self._at = at + 1
        return Token("template" if before else "string", "".join(made))

    def _regex(self) -> Token | None:
        before = self._previous
        if before.kind in {"number", "string", "template", "regex"} or (before.kind == "sign" and before.text in ")]}"):
            return None
        if (before.kind == "name" and before.text not in _BEFORE_REGEX) or self._at < self._no_regex_before:
            return None
        text, at, in_class = self._text, self._at + 1, False
        while at < len(text) and text[at] != "\n":
            if text[at] == "\\":
                at += 1
            elif text[at] == "[":
                in_class = True
            elif text[at] == "]":
                in_class = False
            elif text[at] == "/" and not in_class:
                self._at = at + 1
                return Token("regex", "")
            at += 1
        self._no_regex_before = at  # check each line once, regardless of its number of slashes
        return None


@dataclass(frozen=True, slots=True)
class Call:
    """`app.listen(3000)`: the names before the parenthesis, and where its arguments start."""

    name: tuple[str, ...]
    start: int


class Module:
    """The tokens of one file, and what they define."""

    def __init__(self, text: str) -> None:
        self.tokens = tokenize(text)

    @cached_property
    def keys(self) -> dict[tuple[str, ...], int]:
        """Path of keys -> where the value starts. Calls, arrays and functions between do not count as a level."""
        found: dict[tuple[str, ...], int] = {}
        frames: list[tuple[str, int]] = []
        """The open brackets: each with the number of keys that the path had before it."""
        path: list[str] = []
        tokens = self.tokens
        for index, token in enumerate(tokens):
            if token.kind == "sign" and token.text in _OPEN:
                frames.append((token.text, len(path)))
            elif token.kind == "sign" and token.text in _CLOSE and frames:
                _, depth = frames.pop()
                del path[depth:]
            elif token.kind == "sign" and token.text in ",;" and frames:
                del path[frames[-1][1] :]
            elif frames and frames[-1][0] == "{" and self._is_key(index):
                del path[frames[-1][1] :]
                path.append(token.text)
                shorthand = token.kind == "name" and self._sign(index + 1) in {",", "}"}
                if len(path) <= _KEY_DEPTH:
                    found.setdefault(
                        tuple(path), index if shorthand else index + (1 if self._sign(index + 1) == "(" else 2)
                    )
        for index in range(3, len(tokens) - 1):
            self._add_assignment(index, found)
        return found

    def _add_assignment(self, index: int, found: dict[tuple[str, ...], int]) -> None:
        """`module.exports.output = 'export'` and `config.output = …`."""
        if self._sign(index) != "=" or self._sign(index + 1) in {"=", ">"}:
            return
        if (
            self.tokens[index - 1].kind == "name"
            and self._sign(index - 2) == "."
            and self.tokens[index - 3].kind == "name"
        ):
            found.setdefault((self.tokens[index - 1].text,), index + 1)

    def _is_key(self, index: int) -> bool:
        token = self.tokens[index]
        if token.kind not in {"name", "string"} or self._sign(index - 1) not in {"{", ","}:
            return token.kind == "name" and self._word(index - 1) == "async" and self._sign(index + 1) == "("
        return self._sign(index + 1) in {":", "(", ",", "}"}

    def _sign(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) and self.tokens[index].kind == "sign" else ""

    def _word(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) and self.tokens[index].kind == "name" else ""

    def has(self, *path: str) -> bool:
        """Whether the key is set to anything."""
        return path in self.keys

    def find(self, *path: str) -> str | None:
        """The value as text where it can be known without running the file: `true`, `3000`, `dist`."""
        at = self.keys.get(path)
        return None if at is None else self.value(at)

    def value(self, at: int, depth: int = 0) -> str | None:
        """The value of the expression that starts at a token; None where it depends on something else."""
        if at >= len(self.tokens) or depth > _VALUE_DEPTH:
            return None
        token = self.tokens[at]
        if token.kind in {"string", "number"}:
            return token.text if self._ends(at + 1) else self._either(at, depth)
        if token.kind != "name":
            return self._either(at, depth)
        if token.text in {"true", "false", "null", "undefined"} and self._ends(at + 1):
            return token.text
        if self._ends(at + 1):
            return self.value(self.constants[token.text], depth + 1) if token.text in self.constants else None
        return self._path(at) or self._either(at, depth)

    def _ends(self, at: int) -> bool:
        if at >= len(self.tokens) or self._sign(at) in {",", ";", "}", ")", "]"}:
            return True
        return self._word(at) in {"as", "satisfies", "const", "let", "var", "export", "module", "import"} or (
            self.tokens[at - 1].kind != "sign" and self.tokens[at].kind == "name"
        )

    def _either(self, at: int, depth: int) -> str | None:
        """`a || 'b'`, `a ?? 'b'`, and a choice by NODE_ENV as it is in production."""
        question, strings, level = -1, set[str](), 0
        for index in range(at, min(at + 60, len(self.tokens))):
            sign = self._sign(index)
            level += (sign in {"(", "[", "{"} and bool(sign)) - (sign in {")", "]", "}"} and bool(sign))
            if level < 0 or (level == 0 and sign in {",", ";"}):
                return None
            if level == 0 and sign == "|" and self._sign(index + 1) == "|":
                return self.value(index + 2, depth + 1)
            if level == 0 and sign == "?" and self._sign(index + 1) == "?":
                return self.value(index + 2, depth + 1)
            if level == 0 and sign == "?" and self._sign(index + 1) != ".":
                question = index
                break
            strings.add(self.tokens[index].text)
        if question < 0 or "production" not in strings:
            return None
        return self._chosen(question, differs="!" in strings, depth=depth)

    def _chosen(self, question: int, *, differs: bool, depth: int) -> str | None:
        if not differs:
            return self.value_before_colon(question + 1)
        colon = next((i for i in range(question, min(question + 30, len(self.tokens))) if self._sign(i) == ":"), -1)
        return self.value(colon + 1, depth + 1) if colon > 0 else None

    def value_before_colon(self, at: int) -> str | None:
        """The first side of a choice, where it is plain."""
        plain = at + 1 < len(self.tokens) and self._sign(at + 1) == ":" and self.tokens[at].kind in {"string", "number"}
        return self.tokens[at].text if plain else None

    def _path(self, at: int) -> str | None:
        """The path of `path.resolve(__dirname, 'a')` and of `new URL('./a', import.meta.url)`, below the folder."""
        words = []
        while at < len(self.tokens) and (self.tokens[at].kind == "name" or self._sign(at) == "."):
            words.append(self.tokens[at].text)
            at += 1
        if self._sign(at) != "(" or not words:
            return None
        if words[-1] not in _JOINS and words[-1] != "fileURLToPath":
            return None
        parts = [self.tokens[index].text for index in self.arguments(at) if self.tokens[index].kind == "string"]
        return posixpath.normpath(posixpath.join(*parts)) if parts else None

    def arguments(self, at: int) -> range:
        """The tokens between the parenthesis that opens at `at` and the one that closes it."""
        level = 0
        for index in range(at, min(at + 2000, len(self.tokens))):
            sign = self._sign(index)
            level += 1 if sign and sign in _OPEN else -1 if sign and sign in _CLOSE else 0
            if level == 0:
                return range(at + 1, index)
        return range(at + 1, min(at + 2000, len(self.tokens)))

    @cached_property
    def constants(self) -> dict[str, int]:
        """Name of a variable -> where the value it is first set to starts."""
        found: dict[str, int] = {}
        for index in range(len(self.tokens) - 3):
            if self._word(index) not in {"const", "let", "var"} or self.tokens[index + 1].kind != "name":
                continue
            for at in range(index + 2, min(index + 16, len(self.tokens) - 1)):
                if self._sign(at) == "=" and self._sign(at + 1) != ">":
                    found.setdefault(self.tokens[index + 1].text, at + 1)
                    break
        return found

    def find_constant(self, name: str) -> str | None:
        """The value of a variable where it can be known."""
        return self.value(self.constants[name]) if name in self.constants else None

    @cached_property
    def imports(self) -> dict[str, str]:
        """Local name -> the module it comes from; a module imported for its effect, or by a call, is its own name."""
        found: dict[str, str] = {}
        for index, token in enumerate(self.tokens):
            if token.kind != "string":
                continue
            before = self._word(index - 1)
            called = self._sign(index - 1) == "(" and self._word(index - 2) in {"require", "import"}
            if before not in {"from", "import"} and not called:
                continue
            found.setdefault(token.text, token.text)
            for name in self._imported(index, called=called):
                found.setdefault(name, token.text)
        return found

    def _imported(self, index: int, *, called: bool) -> list[str]:
        """The names that an import or a `const … = require()` binds, looked for backwards."""
        names: list[str] = []
        stop = {"const", "let", "var"} if called else {"import", "export"}
        for at in range(index - 1, max(index - 120, -1), -1):
            word, sign = self._word(at), self._sign(at)
            if word in stop:
                return [] if word == "import" and self._word(at + 1) == "type" else names
            if sign == ";" or (called and sign == ")"):
                return []
            if word and word not in {"from", "as", "require", "import", "await", "type"}:
                names.append(word)
        return []

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Every call, in the order of the file."""
        found = []
        for index, token in enumerate(self.tokens):
            if token.kind != "sign" or token.text != "(" or not self._word(index - 1):
                continue
            names, at = [self._word(index - 1)], index - 2
            while self._sign(at) == "." and len(names) < _NAME_PARTS:
                at -= 1 if self._sign(at - 1) != "?" else 2
                names.append(self._word(at))
                at -= 1
            found.append(Call(tuple(reversed(names)), index))
        return tuple(found)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every word of the code."""
        return frozenset(token.text for token in self.tokens if token.kind == "name")

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word of the code, and every string."""
        return self.names | {token.text for token in self.tokens if token.kind == "string"}
