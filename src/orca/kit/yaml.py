"""Parses untrusted YAML within limits, with the position of every key and value for good error messages.

Built on PyYAML's event stream rather than on its loaders: nothing is expanded before it was counted, tags never create
objects, and scalars follow the YAML 1.2 core schema (`no` is a string, `1:30` is not ninety).
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

MAX_BYTES = 1 << 20
MAX_DEPTH = 30
MAX_ALIASES = 100
MAX_NODES = 20_000
"""Maximum total of keys and values; an alias counts as the nodes that it refers to."""

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_EXACT = 2.0**53
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30}|(?=[eE])))(?:[eE][-+]?[0-9]{1,3})?")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

YamlPath = tuple[str | int, ...]
"""Keys and list positions that lead to a value: `("ports", 0, "port")`."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A position in the text, counted from one."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class BadYaml(Exception):
    """The text is not YAML, or uses features or sizes that are not accepted."""

    def __init__(self, problem: str, mark: Mark) -> None:
        super().__init__(f"{mark}: {problem}")
        self.problem = problem
        self.mark = mark


@dataclass(slots=True)
class Document:
    """A parsed document: plain data, and the position of each part of it."""

    value: Any = None
    keys: dict[YamlPath, Mark] = field(default_factory=dict)
    values: dict[YamlPath, Mark] = field(default_factory=dict)
    texts: dict[YamlPath, str] = field(default_factory=dict)
    """Scalars as they are written: `1.10` is the number 1.1, but the text `1.10`."""

    def locate(self, path: YamlPath, *, key: bool = False) -> Mark:
        """Return the position of a value or its key, or of the nearest enclosing node that is in the text."""
        if key and path in self.keys:
            return self.keys[path]
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, Mark(1, 1))


def read_yaml(content: str | bytes) -> Document:
    """Parse one document; an empty one has the value None. Raises BadYaml."""
    import yaml  # noqa: PLC0415 - a megabyte that a start does without

    text = _decode(content)
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        raise BadYaml(str(error.problem or "cannot be read"), _mark(place)) from None
    return reader.document


def _decode(content: str | bytes) -> str:
    if len(content) > MAX_BYTES:
        raise BadYaml(f"the file is larger than {MAX_BYTES >> 20} MiB", Mark(1, 1))
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line = before.count(b"\n") + 1
        raise BadYaml("this is not UTF-8 text", Mark(line, len(before) - before.rfind(b"\n"))) from None
    text = text.removeprefix("\ufeff")
    if strange := _UNPRINTABLE.search(text):
        before_it = text[: strange.start()]
        mark = Mark(before_it.count("\n") + 1, len(before_it) - before_it.rfind("\n"))
        raise BadYaml(f"the character U+{ord(strange[0]):04X} is not allowed", mark)
    return text


def _mark(mark: Any) -> Mark:
    return Mark(1, 1) if mark is None else Mark(mark.line + 1, mark.column + 1)


@dataclass(slots=True)
class _Collection:
    """A mapping or list that is still being read."""

    value: dict[str, Any] | list[Any]
    path: YamlPath
    anchor: str | None
    started_at: int
    key: str | None = None


@dataclass(slots=True)
class _Reader:
    document: Document = field(default_factory=Document)
    stack: list[_Collection] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    nodes: int = 0
    aliases: int = 0
    documents: int = 0

    def take(self, event: Any) -> None:
        mark = _mark(event.start_mark)
        match type(event).__name__:
            case "DocumentStartEvent":
                self.documents += 1
                if self.documents > 1:
                    raise BadYaml("one document is expected, here begins a second", mark)
            case "ScalarEvent":
                self._scalar(event, mark)
            case "AliasEvent":
                self._alias(str(event.anchor), mark)
            case "MappingStartEvent":
                self._open({}, event, mark)
            case "SequenceStartEvent":
                self._open([], event, mark)
            case "MappingEndEvent" | "SequenceEndEvent":
                self._close()

    def _scalar(self, event: Any, mark: Mark) -> None:
        _refuse_tag(event.tag, mark)
        self._count(1, mark)
        if self._expects_key():
            self._take_key(event.value, mark)
            return
        path = self._path()
        self.document.texts[path] = event.value
        value = _resolve(event.value) if event.implicit[0] else event.value
        self._put(value, path, mark)
        self._remember(event.anchor, value, 1)

    def _alias(self, anchor: str, mark: Mark) -> None:
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise BadYaml(f"more than {MAX_ALIASES} aliases", mark)
        if anchor not in self.anchors:
            raise BadYaml(f"the alias “*{anchor}” stands for nothing that was finished before it", mark)
        if self._expects_key():
            raise BadYaml("a key must be written out, not be an alias", mark)
        value, size = self.anchors[anchor]
        self._count(size, mark)
        self._put(value, self._path(), mark)

    def _open(self, value: dict[str, Any] | list[Any], event: Any, mark: Mark) -> None:
        _refuse_tag(event.tag, mark)
        if self._expects_key():
            raise BadYaml("a key must be text, not a list or a mapping", mark)
        if len(self.stack) >= MAX_DEPTH:
            raise BadYaml(f"nested more than {MAX_DEPTH} levels deep", mark)
        path = self._path()
        self._put(value, path, mark)
        self.stack.append(_Collection(value, path, event.anchor, self.nodes))
        self._count(1, mark)

    def _close(self) -> None:
        finished = self.stack.pop()
        self._remember(finished.anchor, finished.value, self.nodes - finished.started_at)

    def _take_key(self, key: str, mark: Mark) -> None:
        top = self.stack[-1]
        path = (*top.path, key)
        if path in self.document.keys:
            raise BadYaml(f"“{key}” is given twice, first in line {self.document.keys[path].line}", mark)
        self.document.keys[path] = mark
        top.key = key

    def _put(self, value: Any, path: YamlPath, mark: Mark) -> None:
        self.document.values[path] = mark
        if not self.stack:
            self.document.value = value
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is not None:
            top.value[top.key], top.key = value, None

    def _expects_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def _path(self) -> YamlPath:
        if not self.stack:
            return ()
        top = self.stack[-1]
        return (*top.path, len(top.value) if isinstance(top.value, list) else str(top.key))

    def _remember(self, anchor: str | None, value: Any, size: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, size)

    def _count(self, nodes: int, mark: Mark) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise BadYaml(f"more than {MAX_NODES:,} keys and values", mark)


def _refuse_tag(tag: str | None, mark: Mark) -> None:
    if tag is not None:
        raise BadYaml("tags (words that begin with “!”) are not allowed", mark)


def _resolve(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        # `2.0` and `1e3` are whole numbers to every JSON Schema, too.
        return int(number) if number.is_integer() and abs(number) < _EXACT else number
    return text
