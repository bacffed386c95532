"""`orc exec`: a command, or a shell, in a running container."""

import argparse
import importlib
import sys

from orca.cli.command import Command, Invocation, whole_number
from orca.cli.failures import UsageError
from orca.cli.selection import service_path


def exec_command(call: Invocation) -> int:
    """Run a command in a running replica, on a terminal if this is one. Raises CommandFailed."""
    command: list[str] = call.args.command
    has_tty = _wants_tty(call.args)
    if not command and not has_tty:
        raise UsageError("no command is given", hint="For example: `orc exec web -- ls /data`.")
    client = importlib.import_module("orca.cli.terminal").TerminalClient(
        call.client, call.output, has_tty=has_tty, has_input=has_tty or call.args.interactive or not sys.stdin.isatty()
    )
    code: int = client.run(service_path(call, "/terminal"), {"command": command, "replica": call.args.replica})
    return code


def _wants_tty(args: argparse.Namespace) -> bool:
    if args.tty is False:
        return False
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if args.tty and not sys.stdin.isatty():
        raise UsageError("the input is no terminal", hint="Leave out -t when something is piped into the command.")
    return bool(args.tty) or is_terminal


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--replica", type=whole_number, metavar="N", help="in this replica")
    parser.add_argument(
        "-i", "--interactive", action="store_true", help="pass the input on (default, if it is piped or a terminal)"
    )
    parser.add_argument(
        "-t", "--tty", action="store_true", default=None, help="run it on a terminal (default, if this is one)"
    )
    parser.add_argument("-T", "--no-tty", dest="tty", action="store_false", help="run it on pipes")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND",
        help="the program and its arguments; no shell in between. Without one a shell is opened",
    )  # fmt: skip


COMMANDS = {
    "exec": Command(
        exec_command, "orc exec web\norc exec web --replica 1 -- ls -l /data\necho hi | orc exec web -- cat",
        arguments=_arguments, needs_dashes=True,
        details="It runs beside the program of the container, with its variables and volumes.\n"
        "`orc run` starts a container of its own instead. The exit code is the command's; 125 when it could not be\n"
        "run or followed. When the connection is lost, the command is killed.",
    )
}  # fmt: skip
