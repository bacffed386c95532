"""Converts BuildKit's plain progress to a log for people: steps, their output, timings, cache hits. Pure.

BuildKit prefixes every line of output with `#N `, so that a build cannot print a line that looks like BuildKit's own.
"""

import codecs
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orca.kit.text import clean_output, redact, shorten
from orca.sdk.builders import Log
from orca.sdk.dockerfile import RESERVED_NAME

_LINE = re.compile(r"#(?P<number>\d+) (?P<rest>.*)", re.DOTALL)
_OUTPUT = re.compile(r"\d+\.\d+ ?(?P<text>.*)", re.DOTALL)
_DONE = re.compile(r"DONE (?P<seconds>\d+(?:\.\d+)?)s")
_NAME = re.compile(r"\[(?:(?P<stage>\S+) +)?(?P<at>\d+)/(?P<of>\d+)\] (?P<text>.*)")
_CONTEXT = re.compile(r"transferring context: (?P<size>\S+)")
_LOAD_CONTEXT = "[internal] load build context"
_EXIT_CODE = re.compile(r"exit code: (?P<code>\d+)\D*$")
_METADATA = re.compile(r"\[internal\] load metadata for (?P<image>\S+)")
_FROM = re.compile(r"FROM (?P<image>[^\s@]+)\S*")
_NOISE = re.compile(r"sha256:|\.\.\.$|CANCELED$")
_RULER = "------"
_LAST_LINES = 20
_TEXT_LIMIT = 4000
_CODE_LENGTH = 200

State = Literal["running", "done", "cached", "failed"]


@dataclass(slots=True)
class Step:
    """One step of the build as BuildKit reports it. `seconds` is set once it is done."""

    name: str
    state: State = "running"
    seconds: float = 0.0
    exit_code: int | None = None
    error: str = ""
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))

    @property
    def is_shown(self) -> bool:
        """Whether it is a step of the user's Dockerfile."""
        return bool(_NAME.fullmatch(self.name)) and f" {RESERVED_NAME}" not in self.name

    @property
    def instruction(self) -> str:
        """The instruction without its position: `RUN make`."""
        match = _NAME.fullmatch(self.name)
        return " ".join((match["text"] if match else self.name).split())

    @property
    def base_image(self) -> str | None:
        """The base image of a stage, if this step fetches it."""
        match = _METADATA.fullmatch(self.name) or _FROM.fullmatch(self.instruction)
        return match["image"] if match else None

    @property
    def is_question(self) -> bool:
        """Whether it only requests an image's metadata from a registry: that takes moments, or hangs."""
        return bool(_METADATA.fullmatch(self.name))

    @property
    def position(self) -> str:
        """Its position, as in `build 2/5`, without the step that Orca adds to each stage."""
        match = _NAME.fullmatch(self.name)
        if not match:
            return ""
        at, of = max(int(match["at"]) - 1, 1), int(match["of"]) - 1
        return f"{match['stage'] or ''} {at}/{of}".strip()


class Progress:
    """Parses progress line by line into log lines, and stores the steps."""

    def __init__(self) -> None:
        self.steps: dict[int, Step] = {}
        self.trailer: deque[str] = deque(maxlen=_LAST_LINES)
        """Output outside of any step: usage errors and the final message."""
        self._failing: Step | None = None
        """The step whose error message is not complete yet."""

    @property
    def failed(self) -> Step | None:
        """The step whose failure ended the build."""
        return next((step for step in self.steps.values() if step.state == "failed"), None)

    def feed(self, line: str) -> list[str]:
        """Return the log lines for one line of progress."""
        match = _LINE.fullmatch(line)
        if not match:
            self._note(line)
            return []
        number, rest = int(match["number"]), match["rest"]
        step = self.steps.get(number)
        if step is None:
            return self._begin(number, clean_output(rest, colours=False))
        if _NOISE.match(rest) or clean_output(rest, colours=False) == step.name:
            return []
        return self._continue(step, rest)

    def _note(self, line: str) -> None:
        """Handle a line outside of any step; up to a ruler it belongs to the error before it, a multi-line command."""
        text = shorten(clean_output(line, colours=False).strip(), _TEXT_LIMIT)
        if line.startswith(_RULER):
            self._failing = None
        elif self._failing is not None and text:
            self._failing.error = shorten(f"{self._failing.error}\n{text}", _TEXT_LIMIT)
            code = _read_exit_code(text)
            self._failing.exit_code = self._failing.exit_code if code is None else code
        if line.strip("- "):
            self.trailer.append(text)

    def _begin(self, number: int, name: str) -> list[str]:
        step = self.steps[number] = Step(shorten(name, _TEXT_LIMIT))
        return [f"[{step.position}] {step.instruction}"] if step.is_shown else []

    def _continue(self, step: Step, rest: str) -> list[str]:
        output, done = _OUTPUT.fullmatch(rest), _DONE.fullmatch(rest)
        if output:
            return self._output(step, output["text"])
        if rest == "CACHED":
            told, step.state = step.state == "done", "cached"
            return [f"[{step.position}] cached"] if step.is_shown and not told else []
        if done:
            step.state, step.seconds = "done", float(done["seconds"])
            return [f"[{step.position}] done in {step.seconds:.1f} s"] if step.is_shown else []
        if rest.startswith("ERROR"):
            return self._fail(step, clean_output(rest.removeprefix("ERROR").lstrip(": "), colours=False))
        context = _CONTEXT.match(rest) if step.name == _LOAD_CONTEXT and rest.endswith("done") else None
        return [f"Source sent to the builder: {context['size']}"] if context else []

    def _output(self, step: Step, text: str) -> list[str]:
        shown = shorten(clean_output(text.rstrip("\r").rpartition("\r")[2]), _TEXT_LIMIT)
        step.last_lines.append(clean_output(shown, colours=False))
        return [f"[{step.position}] | {shown}"] if step.position else [shown]

    def _fail(self, step: Step, error: str) -> list[str]:
        step.state, step.error, step.exit_code = "failed", shorten(error, _TEXT_LIMIT), _read_exit_code(error)
        self._failing = step
        return [f"[{step.position}] failed: {step.error}" if step.position else f"{step.name}: {step.error}"]

    def summarise(self, seconds: float) -> str:
        """Return a summary like `7 steps, 5 cached, 12.3 s`."""
        shown = [step for step in self.steps.values() if step.is_shown]
        cached = sum(step.state == "cached" for step in shown)
        return f"{len(shown)} step{'' if len(shown) == 1 else 's'}, {cached} cached, {seconds:.1f} s"


def _read_exit_code(error: str) -> int | None:
    """Read the exit code at the end of the error; before it is the command, which may contain any text."""
    code = _EXIT_CODE.search(error[-_CODE_LENGTH:])
    return int(code["code"]) if code else None


@dataclass(slots=True)
class LogSink:
    """Splits docker's output into lines, and redacts secrets before the lines are logged."""

    progress: Progress
    hidden: tuple[str, ...]
    log: Log
    names: Mapping[str, str] = field(default_factory=dict)
    """Names in docker's output -> names in the log."""
    rest: str = field(default="", init=False)
    _decoder: codecs.IncrementalDecoder = field(
        init=False, default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )

    async def take(self, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        """Process a chunk of output; BuildKit writes its progress to stderr."""
        if stream == "stderr":
            *lines, self.rest = (self.rest + self._decoder.decode(data)).split("\n")
            await self._feed(lines)

    async def flush(self) -> None:
        """Process the last line, which may have no newline."""
        await self._feed([self.rest] if self.rest else [])
        self.rest = ""

    async def _feed(self, lines: list[str]) -> None:
        for line in lines:
            for name, shown in self.names.items():
                line = line.replace(name, shown)  # noqa: PLW2901 - the same line
            for shown in self.progress.feed(redact(line, self.hidden)):
                await self.log(shown)
