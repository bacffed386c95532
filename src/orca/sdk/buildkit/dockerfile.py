"""Reads a Dockerfile far enough to know which images it builds on, and rewrites it so that caches stay apart.

The engine's BuildKit is shared by all teams. Its cache is looked up by a digest of each step and of the steps before
it, so a step that differs by cache key right after each FROM separates everything that follows: here a COPY of a
name pattern that matches nothing. It leaves no file and needs no program in the image (an ARG would not do, because
COPY ignores it; what a base image runs by ONBUILD comes before it). `# syntax=` lines are dropped: only the engine's
own frontend reads a Dockerfile here. Pure.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from orca.sdk.buildkit.errors import BadDockerfile

RESERVED_NAME = ".orca-build-"
"""Entries of the tree that begin so are ours; no build sees them."""

_DIRECTIVE = re.compile(r"\s*#\s*(?P<name>[A-Za-z][A-Za-z0-9]*)\s*=\s*(?P<value>.+?)\s*")
_DIRECTIVES = {"syntax", "escape", "check"}
_HEREDOC = re.compile(r"\d*<<(?P<strip>-?)(?P<quote>[\"']?)(?P<name>[A-Za-z0-9_.-]+)(?P=quote)")
_HEREDOC_KEYWORDS = {"ADD", "COPY", "RUN"}
_LOOKS_LIKE_FROM = re.compile(r"\s*FROM\s", re.IGNORECASE)
_FLAGS = re.compile(r"(?:--\S+\s+)*")
_FROM_OPTION = re.compile(r"\bfrom=[\"']?(?P<image>[^\s,\"']+)", re.IGNORECASE)
_ARGUMENT = re.compile(r"(?P<name>[A-Za-z_]\w*)(?:=(?P<value>\"[^\"\\]*\"|'[^'\\]*'|[^\s\"'\\]*))?(?=\s|$)")
_VARIABLE = re.compile(r"\$(?:(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<kind>:[-+])(?P<word>[^{}$]*))?\})")
_UNREADABLE = ""
"""Stands for an ARG whose default has quotes or escapes that readers take differently."""
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@\[\]-]*")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `line` and `end` are its first and last line, counted from 1."""

    keyword: str
    rest: str
    line: int
    end: int

    @property
    def inner(self) -> "Instruction":
        """What an ONBUILD leaves to the stages and images that stand on this one; else the instruction itself."""
        if self.keyword != "ONBUILD" or not self.rest:
            return self
        keyword, _, rest = re.sub(r"\s+", " ", self.rest, count=1).partition(" ")
        return replace(self, keyword=keyword.upper(), rest=rest.strip())


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile that was read."""

    escape: str
    lines: tuple[str, ...]
    directives: int
    """How many lines at the top are directives."""
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A Dockerfile for BuildKit, and where its lines were in the user's own."""

    text: str
    origins: tuple[int, ...]

    def original_line(self, number: int) -> int:
        """The line of the user's file that line `number` of ours came from."""
        return self.origins[min(max(number, 1), len(self.origins)) - 1]


def parse_dockerfile(text: str, *, heredocs: bool) -> Dockerfile:
    """Read as BuildKit does. BadDockerfile for what could be read in two ways.

    `heredocs`: whether the engine's own frontend knows here-documents (Docker 23 and later).
    """
    lines = tuple(text.replace("\r\n", "\n").removesuffix("\n").split("\n"))
    escape, directives = _read_directives(lines)
    instructions = tuple(_read_instructions(lines, directives, escape, heredocs=heredocs))
    if not any(instruction.keyword == "FROM" for instruction in instructions):
        raise BadDockerfile("The Dockerfile has no FROM.", hint="Begin it with FROM and the image to build on.")
    _check_hidden_stages(lines, instructions, escape)
    return Dockerfile(escape, lines, directives, instructions)


def read_json(rest: str) -> list[str] | None:
    """The words of an instruction in the JSON form; None for one that is not, however oddly it begins."""
    try:
        words = json.loads(rest) if rest.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _read_directives(lines: tuple[str, ...]) -> tuple[str, int]:
    escape = "\\"
    for number, line in enumerate(lines):
        match = _DIRECTIVE.fullmatch(line)
        if not match or match["name"].lower() not in _DIRECTIVES:
            return escape, number
        if match["name"].lower() == "escape":
            escape = match["value"]
            if escape not in {"\\", "`"}:
                raise _bad(number + 1, "the escape character can only be \\ or `")
    return escape, len(lines)


def _bad(line: int, what: str, hint: str = "") -> BadDockerfile:
    return BadDockerfile(f"Dockerfile line {line}: {what}.", hint=hint or "Correct the line.")


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _read_instructions(lines: tuple[str, ...], at: int, escape: str, *, heredocs: bool) -> Iterator[Instruction]:
    continued = re.compile(rf"{re.escape(escape)}[ \t]*$")
    while at < len(lines):
        first, text, more = at, "", not _is_blank(lines[at])
        at += 1 if not more else 0
        while more and at < len(lines):
            line, at = lines[at], at + 1
            if at - 1 > first and _is_blank(line):
                continue
            match = continued.search(line)
            more = match is not None
            body = line[: match.start()] if match else line
            if body.endswith(escape):
                raise _bad(
                    at, f"it ends with two {escape}", "Builders differ in what that means; write it another way."
                )
            text += body
        if keyword := text.split(None, 1)[:1]:
            rest = text.strip()[len(keyword[0]) :].strip()
            found = Instruction(keyword[0].upper(), rest, first + 1, at)
            at = _skip_heredocs(lines, at, found.inner, known=heredocs)
            yield replace(found, end=at)


def _skip_heredocs(lines: tuple[str, ...], at: int, instruction: Instruction, *, known: bool) -> int:
    documents = list(_find_heredocs(instruction.rest)) if instruction.keyword in _HEREDOC_KEYWORDS else []
    if documents and not known:
        raise _bad(
            at,
            "it uses a here-document, which this version of Docker cannot read",
            "Upgrade Docker to version 23 or later, or write the commands with && and line continuations.",
        )
    for name, strip in documents:
        while at < len(lines) and (lines[at].lstrip("\t") if strip else lines[at]) != name:
            at += 1
        if at == len(lines):
            raise _bad(at, f"the here-document {name} has no end")
        at += 1
    return at


def _find_heredocs(text: str) -> Iterator[tuple[str, bool]]:
    """Words outside of quotes that open a here-document."""
    word, quote = "", ""
    for char in f"{text} ":
        if not quote and char.isspace():
            match = _HEREDOC.fullmatch(word)
            if match:
                yield match["name"], bool(match["strip"])
            word = ""
            continue
        word += char
        if char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char


def _check_hidden_stages(lines: tuple[str, ...], instructions: tuple[Instruction, ...], escape: str) -> None:
    """A line that begins with FROM must be a stage to every reader, or to none."""
    stages = {instruction.line for instruction in instructions if instruction.keyword == "FROM"}
    for number, line in enumerate(lines, start=1):
        if not _LOOKS_LIKE_FROM.match(line) or number in stages:
            continue
        before = lines[number - 2] if number > 1 else ""
        if _is_blank(before) or not before.rstrip(" \t").endswith(escape):
            raise _bad(number, "it may or may not begin a stage", "Do not begin a line with FROM unless it is a stage.")


def rewrite(dockerfile: Dockerfile, cache_key: str) -> Rewritten:
    """The same build with a cache of its own."""
    marker = f"COPY {RESERVED_NAME}{hashlib.sha256(cache_key.encode()).hexdigest()[:32]}* /"
    ends = {instruction.end for instruction in dockerfile.instructions if instruction.keyword == "FROM"}
    numbered = [(1, f"# escape={dockerfile.escape}"), (1, "")]
    for number, line in enumerate(dockerfile.lines[dockerfile.directives :], start=dockerfile.directives + 1):
        numbered.append((number, line))
        if number in ends:
            numbered.append((number, marker))
    return Rewritten("\n".join(line for _, line in numbered) + "\n", tuple(number for number, _ in numbered))


def find_images(dockerfile: Dockerfile, arguments: Mapping[str, str], architecture: str) -> list[str]:
    """The images from outside that the build may use, as written. Rather one too many than one too few."""
    values: dict[str, str] = {
        f"{side}{name}": value
        for side in ("TARGET", "BUILD")
        for name, value in (("OS", "linux"), ("ARCH", architecture), ("PLATFORM", f"linux/{architecture}"))
    }
    stages: set[str] = set()
    images: dict[str, None] = {}
    seen_from = False
    for instruction in dockerfile.instructions:
        if instruction.keyword == "ARG" and not seen_from:
            _read_arguments(instruction, arguments, values)
        elif instruction.keyword == "FROM":
            seen_from = True
            image, *rest = [word for word in instruction.rest.split() if not word.startswith("--")] or [""]
            image = _expand(image, values)
            if not _IMAGE.fullmatch(image):
                raise _bad(
                    instruction.line,
                    f"the image in {instruction.rest[:80]!r} cannot be worked out",
                    "Write its name plainly, or with ${NAME} of an ARG that stands before the first FROM.",
                )
            if image.lower() not in stages | {"scratch"}:
                images[image] = None
            stages |= {name.lower() for name in rest[1:2]}
    return list(images | {image: None for image in _copied_from(dockerfile) if image.lower() not in stages})


def _read_arguments(instruction: Instruction, given: Mapping[str, str], values: dict[str, str]) -> None:
    for word in _ARGUMENT.finditer(instruction.rest):
        name, default = word["name"], word["value"]
        if name in given:
            values[name] = given[name]
        elif default is not None:
            values[name] = default.strip("'") if default[:1] == "'" else _expand(default.strip('"'), values)
    if _ARGUMENT.sub("", instruction.rest).strip():
        values[_UNREADABLE] = ""


def _expand(text: str, values: Mapping[str, str]) -> str:
    """With what cannot be known left standing, so that it is no image name."""

    def value(match: re.Match[str]) -> str:
        name = match["plain"] or match["name"]
        found = values.get(name, "")
        if _UNREADABLE in values or (name not in values and not match["kind"]):
            return match[0]
        if match["kind"] == ":-":
            return found or match["word"]
        return found if not match["kind"] else match["word"] if found else ""

    return _VARIABLE.sub(value, text)


def _copied_from(dockerfile: Dockerfile) -> Iterator[str]:
    for instruction in dockerfile.instructions:
        flags = _FLAGS.match(instruction.rest)
        if instruction.keyword in _HEREDOC_KEYWORDS and flags and re.search(r"from=[^\s,]*\$", flags[0], re.IGNORECASE):
            raise _bad(instruction.line, "the image after from= cannot be worked out", "Write its name plainly.")
    joined = re.sub(rf"{re.escape(dockerfile.escape)}[ \t]*\n(?:\s*#[^\n]*\n|\s*\n)*", "", "\n".join(dockerfile.lines))
    for match in _FROM_OPTION.finditer(joined):
        if _IMAGE.fullmatch(match["image"]) and not match["image"].isdecimal():
            yield match["image"]
