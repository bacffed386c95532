"""The manual page orc(1), made from the commands themselves: `python -m orca.cli.manpage`."""

import argparse
import sys
from collections.abc import Iterator

from orca import __version__
from orca.cli.failures import EXIT_CODES
from orca.cli.parser import Parser, load, make_parser
from orca.cli.reference import usage_of
from orca.cli.tree import SECTIONS, Entry

_ABOUT = "your repositories, folders and images as live sites on a machine of your own"
_COMMON = frozenset({"--server", "--json", "--project", "--service"})
"""Options that many commands have, so that they are explained once."""
_INTRODUCTION = """\
The name of a service stands after the command, as in `orc logs web`, `orc scale web 3` or `orc logs shop/web`. Without
it the link of the folder decides. Answers go to stdout, everything else to stderr. Without arguments, `orc` lists its
commands; `orc COMMAND --help` says what one takes."""
_ENVIRONMENT = {
    "ORC_URL": "server to talk to; the API token is in ORC_TOKEN",
    "ORC_DATA_DIR": "where the Orca of this machine keeps everything, with its private socket (default: ~/.orc)",
    "NO_COLOR": "no colours, also on a terminal",
    "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY": "proxy between this machine and the server",
    "VISUAL, EDITOR": "editor of `orc env edit`",
}
_FILES = {
    ".orc/link.json": "which service the folder belongs to",
    "orca.yaml": "how the folder is built and run",
    "~/.config/orc": "servers that you are signed in to, with their tokens",
}


def render_page() -> str:
    """Return the page in the man macros of roff."""
    title = f'.TH ORC 1 "" "Orca {_escape(__version__)}" "User Commands"'
    parts = [title, ".SH NAME", f"orc \\- {_escape(_ABOUT)}", ".SH SYNOPSIS", ".B orc", ".I COMMAND", "[options]"]
    parts += [".SH DESCRIPTION", _escape(_INTRODUCTION), ".SH OPTIONS", *_common_options()]
    for section, entries in SECTIONS.items():
        parts.append(f".SH {_escape(section).upper()}")
        for entry in entries:
            parts.extend(line for verb in entry.verbs or [None] for line in _command(entry, verb))
    parts += [".SH EXIT STATUS", *_terms({str(code): meaning for code, meaning in EXIT_CODES.items()})]
    parts += [".SH ENVIRONMENT", *_terms(_ENVIRONMENT), ".SH FILES", *_terms(_FILES)]
    return "\n".join(parts) + "\n"


def _common_options() -> Iterator[str]:
    yield from _terms({
        "--server URL": "server to talk to, or `local` for the one on this machine",
        "-p, --project NAME": "project, by name or id", "-s, --service NAME": "service, by name, id or project/service",
        "--json": "print the API's JSON (streams as JSON lines)",
    })  # fmt: skip


def _command(entry: Entry, verb: str | None) -> Iterator[str]:
    command = load(entry, verb)
    parser = make_parser(entry, verb, command)
    yield from (f".SS {_escape(parser.prog)}", _escape(entry.verbs[verb] if verb else entry.summary))
    if command.details:
        yield _escape(" ".join(command.details.split()))
    yield from (".PP", f".B {_escape(usage_of(parser))}")
    yield from _terms({_name(action): action.help or "" for action in _own_arguments(parser)})
    yield from (".PP", "Example:", ".PP", ".nf", *map(_escape, command.example.splitlines()), ".fi")


def _own_arguments(parser: Parser) -> list[argparse.Action]:
    return [action for action in parser.arguments if not _COMMON & {*action.option_strings}]


def _name(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else "")
    if not action.option_strings:
        return str(value or action.dest)
    return ", ".join(action.option_strings) + (f" {value}" if value and action.nargs != 0 else "")


def _terms(pairs: dict[str, str]) -> Iterator[str]:
    for name, text in pairs.items():
        yield from (".TP", f".B {_escape(name)}", _escape(text))


def _escape(text: str) -> str:
    """Return text that roff prints as it is: no escapes, no requests, and dashes that can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("%%", "%")
    escaped = "".join(sign if sign.isascii() else f"\\[u{ord(sign):04X}]" for sign in escaped)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    sys.stdout.write(render_page())
