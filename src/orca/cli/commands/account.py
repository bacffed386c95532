"""`orc account`: resets a forgotten password. Only on the machine itself, through the private socket."""

import argparse
import os
import sys

from orca.cli.client import Client, Server
from orca.cli.command import Command, Invocation
from orca.cli.dialogue import read_secret
from orca.cli.failures import UNREACHABLE, CommandFailed, UsageError
from orca.cli.server import socket_path


def reset_password(call: Invocation) -> None:
    """Reset a password. The new one is typed or piped in, never an argument."""
    path = socket_path(os.environ)
    if not path.exists():
        raise CommandFailed(
            f"no Orca runs on this machine ({path})", code=UNREACHABLE,
            hint="Do this where `orc serve` runs, as the same user; ORC_DATA_DIR names another data directory.",
        )  # fmt: skip
    body = {"password": _read_password()} | ({"email": call.args.email} if call.args.email else {})
    user = Client(Server("http://localhost", socket=path)).post("/users/reset-password", body)
    call.output.answer(user, lambda screen: screen.line(f"{user['email']} has a new password."))
    call.output.note("Every browser of theirs was signed out and their API tokens were revoked.")


def _read_password() -> str:
    password = read_secret("New password (at least 12 characters): ")
    if sys.stdin.isatty() and read_secret("The same again: ") != password:
        raise UsageError("the two passwords differ", hint="Nothing was changed.")
    return password


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("email", nargs="?", metavar="EMAIL", help="whose (default: the only account there is)")
    parser.add_argument("--json", action="store_true", help="print JSON")


COMMANDS = {
    "reset-password": Command(
        reset_password, "orc account reset-password\norc account reset-password ada@example.org < password.txt",
        scope="machine", arguments=_arguments,
        details="Works on the machine that runs Orca, as the user that runs it, and leaves an event.",
    ),
}  # fmt: skip
