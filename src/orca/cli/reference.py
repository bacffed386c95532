"""The reference page of the command line, made from the commands themselves: `python -m orca.cli.reference`."""

import argparse
import sys
from collections.abc import Iterator

from orca.cli.command import Command
from orca.cli.failures import EXIT_CODES
from orca.cli.parser import Parser, load, make_parser
from orca.cli.tree import SECTIONS, Entry

_INTRODUCTION = """\
# Command line

`orc COMMAND --help` says the same as this page, which is made from the commands themselves.

## Which server

The first of these that is said:

1. `--server URL` (`local` is the one on this machine),
2. `ORC_URL`, with the API token in `ORC_TOKEN`,
3. the link of the folder (`.orc/link.json`), if it names a server you are signed in to,
4. the private socket in `ORC_DATA_DIR`, where that is set and the socket is there,
5. the server you signed in to last with `orc login`,
6. the private socket in `~/.orc`.

On the server itself no sign-in is needed: the user who runs Orca may use its socket.

## Which service

The service's name stands after the command (`orc logs web`, `orc scale web 3`, `orc logs shop/web`) or in
`--service NAME`, the project's in `--project NAME`: name, slug or id; a service that is unique needs no project.
Without them the link of the folder decides, or at a terminal you pick one. Of `orc run`, the words after `--` are the
command. `orc deploy` links a folder the first time, `orc link` does it by hand.

## Output

`--json` prints exactly what the API answers; lists are whole, and streams are one JSON value per line. Colours are used
on a terminal only, and never when `NO_COLOR` is set. Answers go to stdout, everything else to stderr. Failures are
`error:` and `hint:` on stderr, or with `--json` the problem document of the API.

An argument that begins with `@` means just that: no argument ever names a file to read other arguments from.
"""


def render_reference() -> str:
    """The page in Markdown."""
    codes = "\n".join(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    parts = [_INTRODUCTION, f"## Exit codes\n\n| code | meaning |\n|---|---|\n{codes}\n"]
    for title, entries in SECTIONS.items():
        parts.append(f"## {title}\n")
        for entry in entries:
            parts.extend(_render_entry(entry))
    return "\n".join(parts).rstrip() + "\n"


def _render_entry(entry: Entry) -> Iterator[str]:
    if not entry.verbs:
        yield _render_command(entry, None, "###")
        return
    first = next(iter(entry.verbs))
    yield f"### orc {entry.name}\n\n{entry.summary} `orc {entry.name}` alone is `orc {entry.name} {first}`.\n"
    for verb in entry.verbs:
        yield _render_command(entry, verb, "####")


def _render_command(entry: Entry, verb: str | None, heading: str) -> str:
    command = load(entry, verb)
    parser = make_parser(entry, verb, command)
    summary = entry.verbs[verb] if verb else entry.summary
    parts = [f"{heading} {parser.prog}", summary, " ".join(command.details.split())]
    parts += [f"```console\n{usage_of(parser)}\n```", _render_arguments(parser), _render_example(command)]
    return "\n\n".join(part for part in parts if part) + "\n"


def usage_of(parser: Parser) -> str:
    """Return the usage of a command on one line."""
    return " ".join(parser.format_usage().removeprefix("usage: ").split())


def _render_arguments(parser: Parser) -> str:
    rows = [f"| {_name(action)} | {_cell(action.help or '')} |" for action in parser.arguments]
    return "\n".join(["| argument | |", "|---|---|", *rows]) if rows else ""


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else "")
    shown = f" {value}" if value and action.nargs != 0 else ""
    return f"`{_cell(', '.join(action.option_strings) + shown)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _render_example(command: Command) -> str:
    return "Example:\n\n```sh\n" + command.example + "\n```"


if __name__ == "__main__":
    sys.stdout.write(render_reference())
