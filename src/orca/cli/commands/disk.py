"""`orc disk`: disk usage on the server, and retention."""

from typing import Any

from orca.cli.command import Command, Invocation
from orca.cli.output import Part, Screen
from orca.kit.amounts import show_bytes


def show(call: Invocation) -> None:
    """Show images, build cache, source trees and old rows, each with its retention rule and setting."""
    found = call.client.get("/disk")

    def draw(screen: Screen) -> None:
        screen.table(["WHAT", "NUMBER", "SIZE", "KEPT", "SETTING"], map(_row, found["items"]))
        screen.line(f"{show_bytes(found['free_bytes'])} of {show_bytes(found['total_bytes'])} are free.")

    call.output.answer(found, draw)
    for problem in found["problems"]:
        call.output.note(f"not looked at: {problem}")


def _row(item: dict[str, Any]) -> list[Part]:
    size = "" if item["bytes"] is None else show_bytes(item["bytes"])
    return [item["name"], f"{item['count']:,}", size, item["rule"], " ".join(item["settings"])]


COMMANDS = {"disk": Command(show, "orc disk", scope="server")}
