"""`orc orphans`: objects on the machine that have no row in the database."""

import argparse
from typing import Any

from orca.cli.command import Command, Invocation, text_of
from orca.cli.output import Part, Screen
from orca.cli.states import state_of

_KINDS = ("deployment", "route", "history")


def list_orphans(call: Invocation) -> None:
    """List containers by their deployment, hostnames and volumes."""
    found = call.client.get("/orphans")

    def draw(screen: Screen) -> None:
        if found["items"]:
            screen.table(["KIND", "ID", "WHAT", "SERVICE", "STATE", "DETAIL"], map(_row, found["items"]))
        else:
            screen.line("Everything that runs on this machine is known to this database.")

    call.output.answer(found, draw)
    for problem in found["problems"]:
        call.output.note(f"not looked at: {problem}")


def adopt(call: Invocation) -> None:
    """Make it the live release, or a hostname, of its service; running containers are not changed."""
    _decide(call, "adopt", "is part of its service now")


def remove(call: Invocation) -> None:
    """Remove containers within a minute, a hostname at once. Volumes are never removed."""
    _decide(call, "remove", "goes")


def _decide(call: Invocation, verb: str, done: str) -> None:
    orphan = call.client.post(f"/orphans/{verb}", {"kind": call.args.kind, "id": call.args.id})
    call.output.answer(orphan, lambda screen: screen.line(f"{orphan['name']} {done}."))


def _row(orphan: dict[str, Any]) -> list[Part]:
    return [
        orphan["kind"], orphan["id"], orphan["name"], text_of(orphan["service"]), state_of(orphan["state"]),
        orphan["detail"],
    ]  # fmt: skip


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", choices=_KINDS, help="deployment, route or history")
    parser.add_argument("id", metavar="ID", help="as `orc orphans list` shows it")


COMMANDS = {
    "list": Command(list_orphans, "orc orphans list", scope="server"),
    "adopt": Command(adopt, "orc orphans adopt deployment ID", scope="server", arguments=_arguments),
    "remove": Command(remove, "orc orphans remove route ID", scope="server", arguments=_arguments),
}
