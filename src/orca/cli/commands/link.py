"""`orc link`: links a folder to its service."""

import argparse
from dataclasses import asdict

from orca.cli.command import Command, Invocation
from orca.cli.dialogue import is_interactive
from orca.cli.failures import NOT_FOUND, CommandFailed, UsageError
from orca.cli.link import Link, remove_link, write_link
from orca.cli.selection import get_service, list_projects


def link(call: Invocation) -> None:
    """Write, show or remove the link."""
    if call.args.remove:
        if not remove_link(call.folder):
            raise CommandFailed("this folder is not linked", code=NOT_FOUND)
        call.output.note("This folder belongs to no service any more.")
        return
    shown = call.link if call.args.service is None else _make(call)
    if shown is None and is_interactive():
        shown = _make(call)
    if shown is None:
        raise UsageError("this folder is not linked", hint="`orc link --service NAME` links it.")
    call.output.answer(
        asdict(shown), lambda screen: screen.line(f"This folder is {shown.project}/{shown.service} on {shown.server}.")
    )


def _make(call: Invocation) -> Link:
    service = get_service(call)
    project = next(candidate for candidate in list_projects(call) if candidate["id"] == service["project_id"])
    made = Link(call.client.server.name, project["id"], service["id"], project["slug"], service["slug"])
    try:
        write_link(call.folder, made)
    except OSError as error:
        raise CommandFailed(f"the link cannot be written: {error.strerror}") from None
    return made


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--remove", action="store_true", help="forget the link of this folder")


COMMANDS = {
    "link": Command(
        link, "orc link shop/web\norc link --remove", arguments=_arguments,
        details="Kept in .orc/link.json, which Git ignores by itself. `orc deploy` links a folder the first time.",
    )
}  # fmt: skip
