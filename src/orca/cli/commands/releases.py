"""`orc releases`: the releases that a rollback can restore."""

import argparse
from typing import Any

from orca.cli.command import Command, Invocation, text_of, whole_number
from orca.cli.output import Part, Styled
from orca.cli.selection import service_path
from orca.cli.times import ago

_SHORT = 10


def list_releases(call: Invocation) -> None:
    """List releases, newest first, with their origin; the live one and those that were never live are marked."""
    page = call.client.get(service_path(call, "/releases"), limit=call.args.limit)
    columns = ["RELEASE", "", "MADE BY", "MADE", "WENT LIVE", "COMMIT", "MESSAGE"]
    empty = "There are no releases yet. `orc deploy` makes one."
    call.output.table(page, columns, _row, empty=empty, spare=("MADE BY", "MADE"))


def _row(release: dict[str, Any]) -> list[Part]:
    live: Part = Styled("live", "green") if release["is_live"] else ""
    message = release["commit_message"].partition("\n")[0]
    ever: Part = ago(release["went_live_at"]) if release["went_live_at"] else Styled("never", "yellow")
    return [
        text_of(release["number"]), live, _maker(release["deployment"]), ago(release["created_at"]), ever,
        text_of(release["commit"][:_SHORT]), message,
    ]  # fmt: skip


def _maker(deployment: dict[str, Any] | None) -> str:
    return f"deployment {deployment['number']} ({deployment['kind']})" if deployment else text_of(None)


def limit_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument for the number of rows."""
    parser.add_argument(
        "--limit", type=whole_number, default=20, metavar="N", help="how many to show (default: 20, at most 200)"
    )


COMMANDS = {
    "list": Command(
        list_releases, "orc releases list web --limit 5", arguments=limit_argument,
        details="A rollback goes back to releases that went live once: `orc rollback RELEASE`.",
    )
}  # fmt: skip
