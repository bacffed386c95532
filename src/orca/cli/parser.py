"""Parses command lines, and builds help texts from the tree."""

import argparse
import difflib
import importlib
from collections.abc import Iterable, Sequence
from typing import NoReturn

from orca.cli.command import Command
from orca.cli.failures import UsageError
from orca.cli.tree import ENTRIES, Entry

_CHOICES = ("--server", "--project", "--service", "-p", "-s")
"""Options with a value that are also accepted before the command."""
_NEAR = 0.75
"""Minimum similarity of a suggestion, for typing errors and not for other words."""


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


def find_verb(entry: Entry, name: str) -> str:
    """Return the verb of that name. Raises UsageError that suggests the most similar one."""
    if name not in entry.verbs:
        raise UsageError(
            f"orc {entry.name} has no command {name}", hint=_nearest(name, entry.verbs, f"orc {entry.name}")
        )
    return name


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
        group.add_argument("-s", "--service", metavar="NAME", help="service, by name or id (default: of this folder)")
    if command.scope in {"service", "project"}:
        group.add_argument("-p", "--project", metavar="NAME", help="project, by name or id (default: of this folder)")
    if command.scope != "machine":
        group.add_argument("--server", metavar="URL", help="server to talk to, or `local` for the one on this machine")
        group.add_argument("--json", action="store_true", help="print the API's JSON (streams as JSON lines)")
    return parser


def _example(command: Command) -> str:
    return "Example:\n" + "\n".join(f"  {line}" for line in command.example.splitlines())


def _nearest(name: str, known: Iterable[str], prog: str) -> str:
    begun = [command for command in known if command.startswith(name)]
    near = begun or difflib.get_close_matches(name, list(known), n=1, cutoff=_NEAR)
    return f"Did you mean `{prog} {near[0]}`?" if near else f"`{prog} --help` lists them."
