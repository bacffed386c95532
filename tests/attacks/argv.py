"""Records the arguments of started programs: a value that a user typed is one argument, never an option, never shell."""

import re
import string
from collections.abc import Iterable, Iterator

from hypothesis import strategies as st

from orca.sdk.connectors import Command, CommandResult, Connector, OutputSink

META = (
    ";", "&", "&&", "|", "||", "<", ">", "`id`", "$(id)", "${IFS}", "'", '"', "\\", "\n", "\r", "\r\n", "\t", "\x00",
    "-x", "--exec=id", "--upload-pack=id", "-oProxyCommand=id", "@file", "@{-1}", "%PATH%", "%0a", "../../etc/passwd",
    "a..b", "a b", "*", "?", "~root", "#", "!", "{a,b}", "{{191*7}}", "{% if %}", "<b id=x>", '"><b id=x>', "\x1b]52;c;\x07",
    "\u202e", "\u2024\u2024/", "\uff0d\uff0dexec", "x" * 65_536, "",
)  # fmt: skip
"""What means something to shells, to option parsers, to path handling, to templates, or to people's eyes."""
_SHELLS = re.compile(r"(?:.*/)?(?:ba|da|z|k|a|)sh|(?:.*/)?(?:busybox|env|xargs|sudo|su|eval)")
_ASSIGNMENT = re.compile(r"--?[A-Za-z][A-Za-z0-9-]*=(?:[A-Za-z_][A-Za-z0-9_.-]*=)?")
_SEPARATORS = {"--", "--end-of-options"}


def hostile_texts(*, max_size: int = 60) -> st.SearchStrategy[str]:
    """Ordinary words with something from META in front, in the middle, or at the end."""
    word = st.text(string.ascii_letters + string.digits + "._/-", max_size=10)
    return st.builds(lambda left, bad, right: (left + bad + right)[:max_size], word, st.sampled_from(META[:-2]), word)


class ArgvSpy:
    """A connector that remembers every command before it lets the real one run it."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self.commands: list[Command] = []

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        self.commands.append(command)
        return await self._connector.run(command, on_output)


def misuses(commands: Iterable[Command], values: Iterable[str], secrets: Iterable[str] = ()) -> list[str]:
    """How user values were given to programs in a way that they could mean more than themselves."""
    return [
        sentence
        for command in commands
        for sentence in (
            *_shells(command),
            *(each for value in values if value for each in _loose(command, value)),
            *(f"{command.argv[0]} shows a secret" for secret in secrets if secret in " ".join(command.argv)),
        )
    ]


def _shells(command: Command) -> Iterator[str]:
    if _SHELLS.fullmatch(command.argv[0]) and any(re.fullmatch(r"-\w*c\w*", part) for part in command.argv[1:3]):
        yield f"{command.argv[0]} is told to interpret a text"


def _loose(command: Command, value: str) -> Iterator[str]:
    """Whole arguments after `--`, or the rest of an argument that Orca began as `--option=`."""
    ended = False
    for position, part in enumerate(command.argv):
        ended = ended or part in _SEPARATORS
        if value not in part:
            continue
        if position == 0:
            yield f"{value!r} chooses the program"
        elif part == value or part.startswith(value):
            if not ended:
                yield f"{value!r} stands before `--` in {command.argv[0]}"
        elif not (_ASSIGNMENT.match(part) or ended):
            yield f"{value!r} is hidden inside {part!r}"
