"""`orc exec`: a command, or a shell, in a running container."""

import argparse
import importlib
import sys

from orca.cli.command import Command, Invocation, whole_number
from orca.cli.failures import UsageError
from orca.cli.parser import Parser
from orca.cli.selection import service_path


def exec_command(call: Invocation) -> int:
    """Run a command in a running replica, on a terminal if this is one. Raises CommandFailed."""
    command = _read_words(call)
    has_tty = _wants_tty(call.args)
    if not command and not has_tty:
        raise UsageError("no command is given", hint="For example: `orc exec web -- ls -l`.")
    client = importlib.import_module("orca.cli.terminal").TerminalClient(
        call.client, call.output, has_tty=has_tty, has_input=has_tty or call.args.interactive or not sys.stdin.isatty()
    )
    code: int = client.run(service_path(call, "/terminal"), {"command": command, "replica": call.args.replica})
    return code


def _read_words(call: Invocation) -> list[str]:
    """Return the command; a service and options may be named before `--`."""
    words: list[str] = call.args.command
    end = words.index("--") if "--" in words else len(words)
    before, command = words[:end], words[end + 1 :]
    if before and not before[0].startswith("-"):
        if call.args.service is not None:
            raise UsageError(f"two services are named: {call.args.service} and {before[0]}")
        call.args.service = before.pop(0)
    parser = Parser("orc exec")
    _options(parser)
    if any(not word.startswith("-") and not word.isdigit() for word in before):
        raise UsageError("a command begins after `--`", hint="For example: `orc exec web -- ls -l`.")
    parser.parse_args(before, call.args)
    return command


def _wants_tty(args: argparse.Namespace) -> bool:
    if args.tty is False:
        return False
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if args.tty and not sys.stdin.isatty():
        raise UsageError("the input is no terminal", hint="Leave out -t when something is piped into the command.")
    return bool(args.tty) or is_terminal


def _options(parser: argparse.ArgumentParser) -> None:
    unset = argparse.SUPPRESS
    parser.add_argument("--replica", type=whole_number, metavar="N", default=unset, help="in this replica")
    parser.add_argument("-i", "--interactive", action="store_true", default=unset,
                        help="pass the input on (default, if it is piped or with a terminal)")  # fmt: skip
    parser.add_argument("-t", "--tty", action="store_true", default=unset,
                        help="run it on a terminal (default, if input and output are one)")  # fmt: skip
    parser.add_argument("-T", "--no-tty", dest="tty", action="store_false", default=unset, help="run it on pipes")


def _arguments(parser: argparse.ArgumentParser) -> None:
    _options(parser)
    parser.set_defaults(replica=None, interactive=False, tty=None)
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="[SERVICE] -- COMMAND",
        help="the program and its arguments; no shell in between. Without one a shell is opened",
    )  # fmt: skip


COMMANDS = {
    "exec": Command(
        exec_command, "orc exec web\norc exec web --replica 1 -- ls -l /data\necho hi | orc exec web -- cat",
        arguments=_arguments,
        details="It runs beside the program of the container, with its variables and volumes.\n"
        "`orc run` starts a container of its own instead. The exit code is the command's; 125 when it could not be\n"
        "run or followed. When the connection is lost, the command is killed.",
    )
}  # fmt: skip
