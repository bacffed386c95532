"""Parses the lines of a Dockerfile to instructions by BuildKit's rules; ambiguous ones are refused. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from orca.sdk.dockerfile.errors import BadDockerfile
from orca.sdk.dockerfile.flags import BadFlag, Flag, split_flags
from orca.sdk.dockerfile.heredocs import AmbiguousHeredoc, Heredoc, find_heredocs

TEXT_LIMIT, LINE_LIMIT = 256 << 10, 60_000
"""Maximum sizes; BuildKit accepts no line of 64 KiB or more."""

_DIRECTIVE = re.compile(r"#[ \t]*(?P<name>[A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(?P<value>\S.*)")
_DIRECTIVES = {"syntax", "escape", "check"}
_BLANKS = re.compile(r"[ \t]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_KEYWORDS = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip
_NOT_ON_BUILD = {"", "ONBUILD", "FROM", "MAINTAINER"}
_HEREDOC_KEYWORDS = {"ADD", "COPY", "RUN"}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `line` and `end` are its first and last line, counted from 1."""

    keyword: str
    flags: tuple[Flag, ...]
    rest: str
    """The text after the flags, joined to one line and stripped."""
    line: int
    end: int
    body: tuple[str, ...] = ()
    """The lines of its here-documents, including the end markers."""
    inner: "Instruction | None" = None
    """The instruction of an ONBUILD, for stages and images that are based on this one."""

    @property
    def effective(self) -> "Instruction":
        """The instruction inside of an ONBUILD, else the instruction itself."""
        return self.inner or self

    @property
    def words(self) -> list[str]:
        """The arguments, in JSON form or separated by blanks; variables are not expanded."""
        return read_json(self.rest) or [word for word in _BLANKS.split(self.rest) if word]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile."""

    escape: str
    instructions: tuple[Instruction, ...]


def parse_dockerfile(text: str, *, heredocs: bool) -> Dockerfile:
    """Parse like BuildKit. Raises BadDockerfile for ambiguous text.

    `heredocs`: whether the engine's own frontend supports here-documents (Docker 23 and later).
    """
    if len(text) > TEXT_LIMIT:
        raise BadDockerfile(
            f"The Dockerfile is larger than {TEXT_LIMIT >> 10} KiB.", hint="Move long parts into files and COPY them."
        )
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").removesuffix("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if _CONTROLS.search(line) or len(line) > LINE_LIMIT:
            raise bad_line(number, "it is too long or has a control character")
    escape, at = _read_directives(lines)
    instructions = tuple(_read_instructions(lines, at, escape, heredocs=heredocs))
    if not any(instruction.keyword == "FROM" for instruction in instructions):
        raise BadDockerfile("The Dockerfile has no FROM.", hint="Begin it with FROM and the image to build on.")
    return Dockerfile(escape, instructions)


def parse_trigger(text: str) -> Instruction:
    """Parse an ONBUILD trigger in a base image's configuration. Raises BadDockerfile."""
    found = list(_read_instructions(text.split("\n"), 0, "\\", heredocs=False))
    if len(found) != 1 or _CONTROLS.search(text) or len(text) > LINE_LIMIT:
        raise bad_line(1, "it is not one instruction")
    return found[0]


def read_json(rest: str) -> list[str] | None:
    """Return the words of an instruction in JSON form; None for any other, even if it begins like JSON."""
    try:
        words = json.loads(rest) if rest.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def has_more_than_json(rest: str) -> bool:
    """Whether text follows a JSON array: engines before BuildKit 0.15 use the array and drop the text, newer ones run
    all of it as a shell command.
    """
    if not rest.startswith("["):
        return False
    try:
        found, end = json.JSONDecoder().raw_decode(rest)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, list) and bool(rest[end:].strip())


def bad_line(line: int, what: str, hint: str = "") -> BadDockerfile:
    """Return the error for a line of the user's file."""
    return BadDockerfile(f"Dockerfile line {line}: {what}.", hint=hint or "Correct the line.")


def _read_directives(lines: list[str]) -> tuple[str, int]:
    """Return the escape character, and the number of directive lines at the top."""
    escape, seen = "\\", set[str]()
    start = 1 if lines[0].startswith("#!") else 0
    for number, line in enumerate(lines[start:], start=start):
        match = _DIRECTIVE.fullmatch(line.strip())
        name = match["name"].lower() if match else ""
        if not match or name not in _DIRECTIVES:
            return escape, number
        if name in seen:
            raise bad_line(number + 1, f"there are two {name} directives")
        seen.add(name)
        if name == "escape":
            escape = match["value"]
            if escape not in {"\\", "`"}:
                raise bad_line(number + 1, "the escape character can only be \\ or `")
    return escape, len(lines)


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _read_instructions(lines: list[str], at: int, escape: str, *, heredocs: bool) -> Iterator[Instruction]:
    while at < len(lines):
        if _is_blank(lines[at]):
            at += 1
            continue
        first, (text, at) = at, _join(lines, at, escape)
        if not text.strip():
            continue
        instruction = _read_instruction(text, first + 1, at)
        if found := _heredocs_of(instruction, known=heredocs):
            body, at = _read_bodies(lines, at, found)
            instruction = replace(instruction, body=body, end=at)
        yield instruction


def _join(lines: list[str], at: int, escape: str) -> tuple[str, int]:
    """Join the lines of an instruction; return the text and the index of the next line."""
    pieces: list[str] = []
    first, more = at, True
    while more and at < len(lines):
        line, at = lines[at], at + 1
        if at - 1 > first and _is_blank(line):
            continue
        stripped = line.rstrip(" \t")
        more = stripped.endswith(escape)
        pieces.append(stripped[:-1] if more else line)
        if more and stripped[:-1].endswith(escape):
            raise bad_line(
                at, f"it ends with two {escape}", "Builders differ in what that means; write it another way."
            )
    return "".join(pieces), at


def _read_instruction(text: str, line: int, end: int) -> Instruction:
    """Parse one instruction. Raises BadDockerfile if an engine could parse the keyword or the flags differently."""
    keyword, *rests = _BLANKS.split(text.strip(), maxsplit=1)
    keyword, rest = keyword.upper() if keyword.isascii() else keyword, "".join(rests)
    if keyword not in _KEYWORDS:
        raise bad_line(line, f"unknown instruction: {keyword[:40]}", "Check its spelling.")
    if len(text) > LINE_LIMIT * 4:
        raise bad_line(line, "the instruction is too long", "Move it into a script and COPY that.")
    try:
        flags, rest = split_flags(keyword, rest)
    except BadFlag as error:
        raise bad_line(line, str(error)) from None
    if rest.endswith(("\\", "`")):
        raise bad_line(line, "it ends with an escape character", "Write it another way.")
    if keyword in _HEREDOC_KEYWORDS and has_more_than_json(rest):
        raise bad_line(line, "there is more after its JSON array", "Builders differ in what that means.")
    if keyword != "ONBUILD":
        return Instruction(keyword, flags, rest, line, end)
    if _BLANKS.split(rest, maxsplit=1)[0].upper() in _NOT_ON_BUILD:
        raise bad_line(line, "ONBUILD needs an instruction that can be run later")
    return Instruction(keyword, (), rest, line, end, inner=_read_instruction(rest, line, end))


def _heredocs_of(instruction: Instruction, *, known: bool) -> list[Heredoc]:
    effective = instruction.effective
    if (
        effective.keyword not in _HEREDOC_KEYWORDS
        or "<<" not in effective.rest
        or read_json(effective.rest) is not None
    ):
        return []
    try:
        documents = find_heredocs(effective.rest)
    except AmbiguousHeredoc:
        if not known:
            return []
        raise bad_line(
            instruction.line,
            "it may or may not open a here-document",
            "Put << before anything with a backslash or ${…}, or move the command into a script.",
        ) from None
    if documents and not known:
        raise bad_line(
            instruction.line,
            "it uses a here-document, which this version of Docker cannot read",
            "Upgrade Docker to version 23 or later, or write the commands with && and line continuations.",
        )
    if documents and effective is not instruction:
        raise bad_line(instruction.line, "ONBUILD cannot have a here-document", "Move the commands into a script.")
    return documents


def _read_bodies(lines: list[str], at: int, documents: list[Heredoc]) -> tuple[tuple[str, ...], int]:
    first = at
    for document in documents:
        while at < len(lines) and (lines[at].lstrip("\t") if document.strips_tabs else lines[at]) != document.name:
            at += 1
        if at == len(lines):
            raise bad_line(at, f"the here-document {document.name} has no end")
        at += 1
    return tuple(lines[first:at]), at
