"""`orc run`: a one-off command inside the service, with its exit code."""

import argparse
import json

from orca.cli.command import Command, Invocation
from orca.cli.failures import UNREACHABLE, CommandFailed, UsageError
from orca.cli.selection import service_path
from orca.cli.sse import open_stream

_OWN_FAILURE = 125
"""The exit code when the command could not be run at all, as in `docker run`."""


def run_command(call: Invocation) -> int:
    """Run a command and stream its output; Ctrl-C ends it. Raises CommandFailed when it could not be run."""
    command = call.args.command[1:] if call.args.command[:1] == ["--"] else call.args.command
    if not command:
        raise UsageError("no command is given", hint="For example: `orc run -- python manage.py migrate`.")
    body = json.dumps({"command": command, "timeout": call.args.timeout}).encode()
    for event in open_stream(call.client, "POST", service_path(call, "/run"), body=body):
        if call.output.as_json:
            call.output.stream(event.data)
        if event.name == "log" and not call.output.as_json:
            call.output.out.text(event.data["text"].removesuffix("\n") + "\n")
        if event.name == "end":
            return _exit_code(event.data)
    raise CommandFailed("the connection broke before the command ended, so it was killed", code=UNREACHABLE)


def _exit_code(end: dict[str, object]) -> int:
    if "error" in end:
        raise CommandFailed(str(end["error"]), hint=str(end.get("hint", "")), code=_OWN_FAILURE)
    return int(str(end["exit_code"]))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="kill it then (default: 3600)")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the program and its arguments; no shell"
    )


COMMANDS = {
    "run": Command(
        run_command, "orc run -- python manage.py migrate\norc run web -- sh -c 'echo $HOME'",
        arguments=_arguments,
        details="It gets a container of its own with the variables and volumes of the live release.\n"
        "The exit code is the command's; 125 when it could not be run.",
    )
}  # fmt: skip
