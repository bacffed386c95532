"""Renders a Dockerfile for the engine from what was parsed and checked, with a separate cache per key. Pure.

All teams share the engine's BuildKit. Its cache key is a digest of a step and of the steps before it, so a step that
contains the build's cache key right after each FROM separates everything that follows. That step is a COPY of a name
pattern that matches nothing: it leaves no file and needs no program in the image (an ARG would not work, because COPY
ignores it; ONBUILD instructions of a base image come before it). Directives of the user's file (`# syntax=`) and
comments are not rendered: only the engine's own frontend parses the Dockerfile.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orca.sdk.dockerfile.errors import BadDockerfile
from orca.sdk.dockerfile.flags import Flag, origin_of, with_origin
from orca.sdk.dockerfile.read import LINE_LIMIT
from orca.sdk.dockerfile.resolve import SCRATCH, BaseImage, Origin, Resolved, ResolvedInstruction, Stage

RESERVED_NAME = ".orca-build-"
"""Prefix of Orca's own entries in the tree, which no build sees."""

Pins = Mapping[BaseImage, str]
"""The checked images, and the names that pin them on the engine."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A Dockerfile for BuildKit, and the positions of its lines in the user's file."""

    text: str
    origins: tuple[int, ...]

    def original_line(self, number: int) -> int:
        """Return the line of the user's file from which line `number` was rendered."""
        return self.origins[min(max(number, 1), len(self.origins)) - 1]


def render(resolved: Resolved, pins: Pins, cache_key: str) -> Rewritten:
    """Render the same build with plain flags, pinned references, and a separate cache.

    Every image that a needed stage uses must be in `pins`; unneeded stages are based on scratch.
    """
    marker = f"COPY {RESERVED_NAME}{hashlib.sha256(cache_key.encode()).hexdigest()[:32]}* /"
    escape = resolved.dockerfile.escape
    numbered: list[tuple[int, str]] = [(1, f"# escape={escape}"), (1, "")]
    first = resolved.stages[0].source.line
    numbered += [(i.line, f"ARG {i.rest}") for i in resolved.dockerfile.instructions if i.line < first]
    needed = resolved.reachable
    for stage in resolved.stages:
        shown = stage.base if stage.index in needed else None
        numbered += [
            (stage.source.line, _render_from(stage, _name(shown, resolved, pins))),
            (stage.source.line, marker),
        ]
        if stage.index in needed:
            for instruction in stage.instructions:
                numbered += _render_instruction(instruction, resolved, pins)
    lines = [(number, part) for number, line in numbered for part in _break(line, escape)]
    return Rewritten("\n".join(line for _, line in lines) + "\n", tuple(number for number, _ in lines))


def _render_from(stage: Stage, base: str) -> str:
    platform = f"--platform={stage.platform} " if stage.platform else ""
    return f"FROM {platform}{base}{f' AS {stage.name}' if stage.name else ''}"


def _name(origin: Origin, resolved: Resolved, pins: Pins) -> str:
    if origin is None:
        return SCRATCH
    return pins[origin] if isinstance(origin, BaseImage) else resolved.stages[origin].name or str(origin)


def _render_instruction(instruction: ResolvedInstruction, resolved: Resolved, pins: Pins) -> Iterator[tuple[int, str]]:
    source = instruction.source
    origins = iter(instruction.origins)
    flags: list[Flag] = [
        with_origin(flag, _name(next(origins), resolved, pins)) if origin_of(flag) is not None else flag
        for flag in source.effective.flags
    ]
    keywords = ["ONBUILD", source.inner.keyword] if source.inner else [source.keyword]
    yield source.line, " ".join([*keywords, *map(str, flags), source.effective.rest]).rstrip()
    first = source.end - len(source.body) + 1
    yield from enumerate(source.body, start=first)


def _break(line: str, escape: str) -> Iterator[str]:
    """Split into lines that BuildKit accepts and joins again. None may begin like a comment or end with two escapes."""
    while len(line) > LINE_LIMIT:
        places = range(LINE_LIMIT - 1, LINE_LIMIT // 2, -1)
        at = next((at for at in places if line[at - 1] not in " \t\\`" and line[at] not in " \t#\\`"), None)
        if at is None:
            raise BadDockerfile("An instruction is too long.", hint="Move it into a script and COPY that.")
        yield line[:at] + escape
        line = line[at:]
    yield line
