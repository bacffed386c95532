"""Parses command lines, and builds help texts from the tree."""

import argparse
import difflib
import importlib
import re
from collections.abc import Iterable, Sequence
from typing import NoReturn

from orca.cli.command import Command
from orca.cli.failures import UsageError
from orca.cli.tree import ENTRIES, Entry

_CHOICES = ("--server", "--project", "--service", "-p", "-s")
"""Options with a value that are also accepted before the command."""
_NEAR = 0.75
"""Minimum similarity of a suggestion, for typing errors and not for other words."""
_WORD = "named"
"""The positional name of a service, which `settle` makes the value of --service."""
_PATH = re.compile(r"[^\s/]+/[^\s/]+")
_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}")
_SERVICE_HELP = "service, by name, id or project/service (default: of this folder)"


class Parser(argparse.ArgumentParser):
    """Accepts only unabbreviated options, and raises instead of exiting."""

    def __init__(self, prog: str, description: str = "", epilog: str = "") -> None:
        super().__init__(
            prog=prog, description=description, epilog=epilog, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        self.color = False  # newer Pythons would colour the usage, which the reference page includes

    def error(self, message: str) -> NoReturn:
        """Raise the error for which argparse would exit."""
        raise UsageError(message, hint=f"`{self.prog} --help` shows how it is used.")

    @property
    def arguments(self) -> list[argparse.Action]:
        """All arguments but --help."""
        return [action for action in self._actions if not isinstance(action, argparse._HelpAction)]  # noqa: SLF001 - argparse has no public list of them

    @property
    def words(self) -> list[argparse.Action]:
        """The positional arguments."""
        return [action for action in self.arguments if not action.option_strings]

    @property
    def options(self) -> list[str]:
        """The names of all options."""
        return [option for action in self.arguments for option in action.option_strings]

    @property
    def takes_service(self) -> bool:
        """Whether the name of a service may follow the command."""
        return any(action.dest == _WORD for action in self.words)

    def add_first(self, word: argparse.Action) -> None:
        """Move an argument that was added before all other positional ones."""
        self._actions.remove(word)
        self._actions.insert(0, word)
        self.usage = self.format_usage().removeprefix("usage: ").rstrip()  # `parse_without` changes what it is made of

    def parse_without(self, word: argparse.Action, words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Parse as if one positional argument did not exist."""
        kept, word.nargs = word.nargs, argparse.SUPPRESS
        try:
            return self.parse_known_args(words)
        finally:
            word.nargs = kept

    def fail_at(self, extras: Sequence[str]) -> NoReturn:
        """Raise the error for arguments that are unknown, with the option that is most similar to the first one."""
        message = f"unrecognized arguments: {' '.join(extras)}"
        option = next((extra.partition("=")[0] for extra in extras if extra.startswith("--")), "")
        known = find_nearest(option, [*self.options, "--help"]) if option.strip("-") else None
        if known is None:
            self.error(message)
        raise UsageError(message, hint=f"Did you mean `{known}`?")


def split(argv: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
    """Split into options before the first word, that word, and the rest."""
    before: list[str] = []
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        before.append(option)
        if option in _CHOICES and rest:
            before.append(rest.pop(0))
    return (before, rest[0], rest[1:]) if rest else (before, None, [])


def find_entry(name: str) -> Entry:
    """Return the entry of that name. Raises UsageError that suggests the most similar one."""
    if name not in ENTRIES:
        raise UsageError(f"there is no command {name}", hint=_nearest(name, ENTRIES, "orc"))
    return ENTRIES[name]


def choose_verb(entry: Entry, word: str | None, rest: list[str]) -> tuple[str, list[str]]:
    """Return the verb and the words after it: `orc env web` is `orc env list web`. Raises UsageError."""
    first = next(iter(entry.verbs))
    if word is None or word in entry.verbs:
        return word or first, rest
    is_typo = find_nearest(word, entry.verbs) is not None
    if not is_typo and make_parser(entry, first, load(entry, first)).takes_service:
        return first, [word, *rest]
    raise UsageError(f"orc {entry.name} has no command {word}", hint=_nearest(word, entry.verbs, f"orc {entry.name}"))


def load(entry: Entry, verb: str | None) -> Command:
    """Import the command's module and return the command."""
    commands: dict[str, Command] = importlib.import_module(f"orca.cli.commands.{entry.module}").COMMANDS
    return commands[verb or entry.name]


def make_parser(entry: Entry, verb: str | None, command: Command) -> Parser:
    """Return the parser of one command, with the options of all commands of its scope."""
    summary = entry.verbs[verb] if verb else entry.summary
    description = f"{summary}\n\n{command.details}".rstrip()
    parser = Parser(f"orc {entry.name} {verb}" if verb else f"orc {entry.name}", description, _example(command))
    if command.arguments is not None:
        command.arguments(parser)
    group = parser.add_argument_group("what it is about")
    if command.scope == "service":
        group.add_argument("-s", "--service", metavar="NAME", help=_SERVICE_HELP)
    if "--service" in parser.options and all(_may_follow(word, command) for word in parser.words):
        parser.add_first(group.add_argument(_WORD, nargs="?", metavar="SERVICE", help=_SERVICE_HELP))
    if command.scope in {"service", "project"}:
        group.add_argument("-p", "--project", metavar="NAME", help="project, by name or id (default: of this folder)")
    if command.scope != "machine":
        group.add_argument("--server", metavar="URL", help="server to talk to, or `local` for the one on this machine")
        group.add_argument("--json", action="store_true", help="print the API's JSON (streams as JSON lines)")
    return parser


def _may_follow(word: argparse.Action, command: Command) -> bool:
    """Whether a positional argument can be told from the name of a service before it."""
    return word.dest == command.number or word.nargs == argparse.REMAINDER


def parse(parser: Parser, command: Command, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words of a command line. Those after `--` are the program of a command that runs one."""
    program = next((word for word in parser.words if word.nargs == argparse.REMAINDER), None)
    if program is not None and parser.takes_service:
        if not command.needs_dashes or "--" in words:
            return _settle(parser, command, _parse_program(parser, program, list(words)))
        args = _parse_program(parser, program, [*words, "--"])
        if getattr(args, program.dest):
            raise UsageError("a command begins after `--`", hint=f"For example: `{parser.prog} web -- ls /data`.")
        return _settle(parser, command, args)
    find = parser.parse_known_intermixed_args if command.number else parser.parse_known_args
    args, extras = find(words)
    if extras:
        parser.fail_at(extras)
    return _settle(parser, command, args)


def _parse_program(parser: Parser, program: argparse.Action, words: list[str]) -> argparse.Namespace:
    """Parse `SERVICE -- PROGRAM`. Without `--`, or with several words before it, all words are the program."""
    service = next(word for word in parser.words if word.dest == _WORD)
    if "--" in words:
        at = words.index("--")
        args, extras = parser.parse_without(program, words[:at])
        if extras and extras[0].startswith("-"):
            parser.fail_at(extras)
        if not extras:
            setattr(args, program.dest, words[at + 1 :])
            return args
    args, _ = parser.parse_without(service, words)
    return args


def _settle(parser: Parser, command: Command, args: argparse.Namespace) -> argparse.Namespace:
    """Make the positional name the value of --service, and split `project/service`. Raises UsageError."""
    word = getattr(args, _WORD, None)
    number = next((action for action in parser.words if action.dest == command.number), None)
    if word is not None and number is not None and getattr(args, number.dest) is None and _is_number(word, number):
        setattr(args, number.dest, int(word) if number.type else word)
        word = None
    if word is not None:
        if args.service not in {None, word}:
            raise UsageError(f"two services are named: {word} and {args.service}")
        args.service = word
    service, project = getattr(args, "service", None), getattr(args, "project", None)
    if service and _PATH.fullmatch(service):
        before, _, args.service = service.partition("/")
        if project not in {None, before}:
            raise UsageError(f"two projects are named: {before} and {project}")
        args.project = before
    return args


def _is_number(word: str, action: argparse.Action) -> bool:
    """Whether a word is the number after the service, or the id that is accepted in its place."""
    return word.isdecimal() or (action.type is None and _ID.fullmatch(word) is not None)


def _example(command: Command) -> str:
    return "Example:\n" + "\n".join(f"  {line}" for line in command.example.splitlines())


def _nearest(name: str, known: Iterable[str], prog: str) -> str:
    near = find_nearest(name, known)
    return f"Did you mean `{prog} {near}`?" if near else f"`{prog} --help` lists them."


def find_nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the word that begins with what was typed, or is the most similar to it."""
    words = list(known)
    begun = [word for word in words if word.startswith(name)]
    return next(iter(begun or difflib.get_close_matches(name, words, n=1, cutoff=_NEAR)), None)
