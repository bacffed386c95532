"""Resolves a Dockerfile: its stages, their base images, and the values of ARG and ENV. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orca.sdk.dockerfile.errors import BadDockerfile
from orca.sdk.dockerfile.flags import Flag, origin_of
from orca.sdk.dockerfile.read import Dockerfile, Instruction, bad_line
from orca.sdk.dockerfile.words import BadWord, UnknownForm, expand, names_in, pairs_of, split_words
from orca.sdk.images import normalise_image

SCRATCH = "scratch"
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_PLATFORM = re.compile(r"[a-z0-9]+(?:/[a-z0-9]+){0,2}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPANDED = {"ADD", "COPY", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
_STAGES, _IMAGES, _VARIABLES, _EXPANDED_LIMIT = 200, 50, 500, 4 << 20
_HARMLESS_PLATFORM = {"$BUILDPLATFORM", "${BUILDPLATFORM}", "$TARGETPLATFORM", "${TARGETPLATFORM}"}


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A complete reference to an external image: `docker.io/library/python:3.12`. An empty platform: the engine's."""

    name: str
    platform: str = ""


Origin = int | BaseImage | None
"""A source of files: the stage with that number, an image, or None for `scratch`."""


@dataclass(frozen=True, slots=True)
class ResolvedInstruction:
    """An instruction of a stage, with ARG and ENV expanded."""

    source: Instruction
    origins: tuple[Origin, ...] = ()
    """The sources of its flags that take files from elsewhere, one per flag."""
    words: tuple[str, ...] = ()
    """Arguments, expanded where BuildKit expands them; unchanged for RUN, CMD, ENTRYPOINT and SHELL."""

    @property
    def keyword(self) -> str:
        """The keyword in capitals."""
        return self.source.keyword


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. `values` are ARG and ENV at its end."""

    index: int
    name: str
    base: Origin
    platform: str
    source: Instruction
    instructions: tuple[ResolvedInstruction, ...]
    values: Mapping[str, str]
    environment: Mapping[str, str]
    """ENV alone, including that of the stages it is based on."""
    arguments: frozenset[str]
    """The names that it declares with ARG."""

    @property
    def origins(self) -> Iterator[Origin]:
        """All sources of files of this stage."""
        yield self.base
        for instruction in self.instructions:
            yield from instruction.origins


@dataclass(frozen=True, slots=True)
class Resolved:
    """A resolved Dockerfile."""

    dockerfile: Dockerfile
    stages: tuple[Stage, ...]
    target: int
    """The stage that the image is made from."""

    @property
    def final(self) -> Stage:
        """The stage that the image is made from."""
        return self.stages[self.target]

    @property
    def lineage(self) -> list[Stage]:
        """The final stage and those it is based on, the final one last."""
        chain = [self.final]
        while isinstance(chain[0].base, int):
            chain.insert(0, self.stages[chain[0].base])
        return chain

    @property
    def reachable(self) -> set[int]:
        """The stages that the final one needs."""
        found, todo = set[int](), [self.target]
        while todo:
            index = todo.pop()
            if index not in found:
                found.add(index)
                todo += [origin for origin in self.stages[index].origins if isinstance(origin, int)]
        return found

    @property
    def images(self) -> list[BaseImage]:
        """The external images that the final stage needs."""
        needed = (origin for index in sorted(self.reachable) for origin in self.stages[index].origins)
        return list(dict.fromkeys(origin for origin in needed if isinstance(origin, BaseImage)))


def resolve(
    dockerfile: Dockerfile, arguments: Mapping[str, str], architecture: str, target: str | None = None
) -> Resolved:
    """Resolve with these build arguments. Raises BadDockerfile for what cannot be resolved."""
    reader = _Reader(dockerfile.escape, arguments, architecture)
    for instruction in dockerfile.instructions:
        reader.read(instruction)
    stages = tuple(reader.finished())
    resolved = Resolved(dockerfile, stages, _find_target(stages, target))
    if len(resolved.images) > _IMAGES:
        raise BadDockerfile(f"The Dockerfile uses more than {_IMAGES} images.", hint="Use fewer images.")
    return resolved


def _find_target(stages: tuple[Stage, ...], target: str | None) -> int:
    if target is None:
        return len(stages) - 1
    for stage in stages:
        if target.lower() == stage.name or target == str(stage.index):
            return stage.index
    names = ", ".join(stage.name for stage in stages if stage.name) or "none has a name"
    raise BadDockerfile(f"The Dockerfile has no stage {target[:80]!r}.", hint=f"Its stages: {names}.")


@dataclass(slots=True)
class _Open:
    """The stage that is being resolved."""

    source: Instruction
    name: str
    base: Origin
    platform: str
    environment: dict[str, str]
    arguments: dict[str, str | None] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    instructions: list[ResolvedInstruction] = field(default_factory=list)

    def look_up(self, name: str) -> str | None:
        return self.environment[name] if name in self.environment else self.arguments.get(name)


class _Reader:
    def __init__(self, escape: str, given: Mapping[str, str], architecture: str) -> None:
        self.escape, self.given = escape, given
        self.platforms = {
            f"{side}{name}": value
            for side in ("TARGET", "BUILD")
            for name, value in (("OS", "linux"), ("ARCH", architecture), ("PLATFORM", f"linux/{architecture}"))
        }
        self.own_platform = f"linux/{architecture}"
        self.globals: dict[str, str | None] = {}
        self.stages: list[_Open] = []
        self.names: dict[str, int] = {}
        self.expanded = 0

    def read(self, instruction: Instruction) -> None:
        try:
            if instruction.keyword == "FROM":
                self.stages.append(self.open(instruction))
            elif self.stages:
                self.stages[-1].instructions.append(self.follow(self.stages[-1], instruction))
            elif instruction.keyword == "ARG":
                self.read_globals(instruction)
            else:
                raise bad_line(instruction.line, f"{instruction.keyword} stands before the first FROM")
        except ValueError as error:
            raise bad_line(instruction.line, str(error)) from None

    def finished(self) -> Iterator[Stage]:
        for index, stage in enumerate(self.stages):
            values = {
                **{name: value for name, value in stage.arguments.items() if value is not None},
                **stage.environment,
            }
            yield Stage(
                index, stage.name, stage.base, stage.platform, stage.source, tuple(stage.instructions), values,
                stage.environment, frozenset(stage.declared),
            )  # fmt: skip

    def read_globals(self, instruction: Instruction) -> None:
        for name, default in _arguments_of(instruction, self.escape):
            value = None if default is None else expand(default, self.look_up_global, self.escape)
            self.globals[name] = self.given.get(name, value)
            _check_count(self.globals)

    def look_up_global(self, name: str) -> str | None:
        return self.globals[name] if name in self.globals else self.platforms.get(name)

    def open(self, instruction: Instruction) -> _Open:
        words = instruction.rest.split()
        if len(words) not in {1, 3} or (len(words) == 3 and words[1].upper() != "AS"):  # noqa: PLR2004 - FROM x AS y
            raise bad_line(instruction.line, "FROM wants an image, and perhaps AS and a name")
        if len(self.stages) == _STAGES:
            raise bad_line(instruction.line, f"there are more than {_STAGES} stages")
        name = words[2].lower() if len(words) > 1 else ""
        if name and (not _STAGE_NAME.fullmatch(name) or name == SCRATCH or name in self.names):
            raise bad_line(instruction.line, f"{words[2][:80]!r} cannot name a stage, or names two")
        flag = next((flag.value for flag in instruction.flags), "")
        platform = "" if flag in _HARMLESS_PLATFORM else expand(flag, self.look_up_global, self.escape).lower()
        if platform and not _PLATFORM.fullmatch(platform):
            raise bad_line(instruction.line, f"{flag[:80]!r} is not a platform")
        platform = "" if platform in {self.own_platform, "linux"} else platform
        base = self.locate(self.expand_image(instruction, words[0]), platform, numbers=False)
        if name:
            self.names[name] = len(self.stages)
        below = self.stages[base].environment if isinstance(base, int) else {}
        return _Open(instruction, name, base, platform, dict(below))

    def expand_image(self, instruction: Instruction, word: str) -> str:
        needed = set(names_in(word)) - set(names_in(word, followed_by=":-"))
        unknown = [name for name in needed if self.look_up_global(name) is None]
        image = "" if unknown else expand(word, self.look_up_global, self.escape)
        if not image:
            raise bad_line(
                instruction.line,
                f"the image in {instruction.rest[:80]!r} cannot be worked out",
                "Write its name plainly, or with ${NAME} of an ARG that stands before the first FROM.",
            )
        return image

    def locate(self, text: str, platform: str = "", *, numbers: bool = True) -> Origin:
        found = self.names.get(text.lower())
        if found is None and numbers and text.isascii() and text.isdigit():
            found = int(text[:6])
            if found >= len(self.stages) - 1:
                raise BadWord(f"there is no stage {text[:20]} before this one")
        if found is not None:
            return found
        return None if text == SCRATCH else BaseImage(normalise_image(text), platform)

    def follow(self, stage: _Open, instruction: Instruction) -> ResolvedInstruction:
        origins = tuple(
            self.locate_origin(flag, origin)
            for flag in instruction.effective.flags
            if (origin := origin_of(flag)) is not None
        )
        if origins and instruction.inner:
            raise BadWord("ONBUILD cannot take files from other stages or images")
        if instruction.keyword == "ARG":
            self.declare(stage, instruction)
        words = tuple(self.words_of(stage, instruction))
        if instruction.keyword == "ENV":
            for word in words:
                name, _, value = word.partition("=")
                stage.environment[name] = value
            _check_count(stage.environment)
        return ResolvedInstruction(instruction, origins, words)

    def locate_origin(self, flag: Flag, text: str) -> Origin:
        """Resolve the source of a flag. COPY also accepts a stage's number; for RUN --mount a number is an image."""
        if "$" in text or (flag.name == "mount" and text.isdigit()):
            raise BadWord("the image after from= cannot be worked out; write its name plainly")
        origin = self.locate(text, numbers=flag.name == "from")
        if origin == len(self.stages) - 1:
            raise BadWord("a stage cannot take files from itself")
        return origin

    def declare(self, stage: _Open, instruction: Instruction) -> None:
        for name, default in _arguments_of(instruction, self.escape):
            value = None if default is None else self.expand(default, stage)
            inherited = self.globals.get(name, self.platforms.get(name)) if value is None else value
            stage.arguments[name] = self.given.get(name, inherited)
            stage.declared.add(name)
            _check_count(stage.arguments)

    def words_of(self, stage: _Open, instruction: Instruction) -> Iterator[str]:
        if instruction.keyword in {"ENV", "LABEL"}:
            for name, value in pairs_of(instruction.rest, self.escape):
                yield f"{self.expand(name, stage)}={self.expand(value, stage)}"
        elif instruction.keyword in _EXPANDED and "<<" not in instruction.rest:
            for word in instruction.words:
                value = self.expand(word, stage)
                yield from value.split() if instruction.keyword == "EXPOSE" else [value]
        else:
            yield from instruction.words

    def expand(self, word: str, stage: _Open) -> str:
        """Expand a word. A form that only newer engines support is left unchanged: no check depends on it."""
        try:
            value = expand(word, stage.look_up, self.escape)
        except UnknownForm:
            return word
        self.expanded += len(value)
        if self.expanded > _EXPANDED_LIMIT:
            raise BadWord(f"all values together are longer than {_EXPANDED_LIMIT >> 20} MiB")
        return value


def _arguments_of(instruction: Instruction, escape: str) -> Iterator[tuple[str, str | None]]:
    for word in split_words(instruction.rest, escape):
        name, given, default = word.partition("=")
        if not _VARIABLE_NAME.fullmatch(name):
            raise BadWord(f"{name[:80]!r} cannot name an argument")
        yield name, default if given else None


def _check_count(values: Mapping[str, object]) -> None:
    if len(values) > _VARIABLES:
        raise BadWord(f"there are more than {_VARIABLES} variables")
