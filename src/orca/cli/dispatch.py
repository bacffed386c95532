"""Finds the command, runs it, and turns every failure into two lines and an exit code."""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from orca import __version__
from orca.cli.command import Invocation
from orca.cli.failures import INTERRUPTED, OK, USAGE, CommandFailed
from orca.cli.help import noun_help, root_help
from orca.cli.output import Output, ReaderGone
from orca.cli.parser import choose_verb, find_entry, load, make_parser, parse, split

READER_GONE = 141
"""The exit code of a process that SIGPIPE ended."""


def run(argv: Sequence[str]) -> NoReturn:
    """Run one command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    code = main(argv)
    if code == READER_GONE:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def main(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    output = Output(os.environ, as_json="--json" in argv)
    try:
        return _dispatch(argv, output)
    except CommandFailed as error:
        output.failure(error)
        return error.code
    except ReaderGone:
        return READER_GONE
    except KeyboardInterrupt:
        output.err.line()
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - users should never see a traceback
        what = f"{type(error).__name__}{f': {error}' if isinstance(error, LookupError) else ''}"
        failed = CommandFailed(
            f"orc met a case it was not built for ({what})",
            hint="Do `orc version` and the server's version differ? If not, please report it.",
        )
        output.failure(failed)
        return failed.code


def _dispatch(argv: Sequence[str], output: Output) -> int:
    if argv and argv[0] == "__complete":
        return _complete(argv[1:], output)
    before, name, rest = split(argv)
    if name == "help":
        before, name, rest = split([*rest, "--help"])
    if name is None:
        return _without_command(before, output)
    entry, verb = find_entry(name), None
    if entry.verbs:
        middle, word, rest = split(rest)
        before += middle
        if word is None and _asks_help(before):
            output.out.write(noun_help(entry))
            return OK
        verb, rest = choose_verb(entry, word, rest)
    command = load(entry, verb)
    args = parse(make_parser(entry, verb, command), command, [*before, *rest])
    output.as_json = getattr(args, "json", False)
    return command.run(Invocation(args, output, Path.cwd())) or OK


def _complete(argv: Sequence[str], output: Output) -> int:
    """Run the hidden command that completion scripts call."""
    names = importlib.import_module("orca.cli.completion_names")
    for name in names.list_names(argv[0], argv[1:]) if argv else ():
        output.out.line(name)
    return OK


def _without_command(options: list[str], output: Output) -> int:
    if "--version" in options:
        output.out.line(f"orc {__version__}")
        return OK
    output.out.write(root_help())
    return OK if _asks_help(options) else USAGE


def _asks_help(options: Sequence[str]) -> bool:
    return "--help" in options or "-h" in options
