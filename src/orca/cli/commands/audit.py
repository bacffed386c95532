"""`orc audit`: lists events, and verifies that the records are unchanged."""

import argparse
import re
from typing import Any

from orca.cli.command import Command, Invocation, text_of
from orca.cli.commands.releases import limit_argument
from orca.cli.failures import FAILED, OK
from orca.cli.output import Part, Screen, Styled
from orca.cli.times import ago
from orca.kit.amounts import counted

_CAPITAL = re.compile(r"([A-Z])")
_KINDS = frozenset({"restart", "start", "stop", "scale", "rollback", "remove"})
"""Kinds of deployments that the panel calls by their own name."""
_NAMES = ("service", "name", "slug", "hostname")
"""Fields of a payload that name the event's subject, in order of preference."""


def list_events(call: Invocation) -> None:
    """List the team's events; for instance admins also those of no team."""
    about = {"object_type": call.args.object_type, "object_id": call.args.object_id}
    page = call.client.get("/events", limit=call.args.limit, type=_event_type(call.args.type), **about)
    columns = ["WHEN", "EVENT", "BY", "FROM", "ABOUT", "OUTCOME"]
    call.output.table(page, columns, _row, empty="Nothing of that kind has happened.")


def _event_type(text: str | None) -> str | None:
    """Accept the words that the list shows: `Hook created` is HookCreated."""
    return None if text is None else "".join(word[:1].upper() + word[1:] for word in text.split())


def verify(call: Invocation) -> int:
    """Let the server compare all events with its signed checkpoints. Fails unless all are unchanged."""
    found = call.client.get("/events/verify")

    def draw(screen: Screen) -> None:
        if found["is_intact"]:
            checkpoints = counted(found["checkpoints"], "signed checkpoint")
            screen.line(Styled("intact", "green"), f": {counted(found['events'], 'event')}, {checkpoints}")
        else:
            screen.line(Styled("broken", "red"), f": {found['problem']}")

    call.output.answer(found, draw)
    return OK if found["is_intact"] else FAILED


def _row(event: dict[str, Any]) -> list[Part]:
    outcome = event["outcome"]
    return [
        ago(event["at"]), Styled(event["type"], None, label=title_of(event)), event["actor"],
        text_of(event["ip"] or event["via"]), text_of(_about(event)),
        outcome if outcome == "done" else Styled(outcome, "red"),
    ]  # fmt: skip


def title_of(event: dict[str, Any]) -> str:
    """`HookCreated` -> `Hook created`, as the panel says it; of a restart `Restart finished`."""
    words = _CAPITAL.sub(r" \1", event["type"]).strip().capitalize()
    kind = event["payload"].get("kind")
    is_renamed = words.startswith("Deployment ") and isinstance(kind, str) and kind in _KINDS
    return words.replace("Deployment", kind.capitalize(), 1) if is_renamed else words


def _about(event: dict[str, Any]) -> str:
    """Return the name of the event's subject; its id if the event has no name."""
    payload = event["payload"]
    name = next((payload[key] for key in _NAMES if isinstance(payload.get(key), str) and payload[key]), None)
    about = " ".join(filter(None, (event["object_type"], name or event["object_id"])))
    return f"{about}, deployment {payload['number']}" if "deployment_id" in payload else about


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--type", metavar="EVENT", help="only events of this type, such as DeploymentFinished")
    parser.add_argument("--object-type", metavar="KIND", help="only events about such things, for example service")
    parser.add_argument("--object-id", metavar="ID", help="only events about this one")
    limit_argument(parser)


COMMANDS = {
    "list": Command(
        list_events, "orc audit list --type DeploymentFinished\norc audit list --limit 200 --json", scope="server",
        arguments=_list_arguments,
    ),
    "verify": Command(
        verify, "orc audit verify", scope="server",
        details="Checkpoints are signed every ten minutes and every 1,000 events, and kept outside the database.",
    ),
}  # fmt: skip
