"""`orc deployments` and `orc cancel`: past and current attempts to make a release live."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation, text_of, whole_number
from orca.cli.commands.releases import limit_argument
from orca.cli.deploying import follow_argument, report
from orca.cli.failures import NOT_FOUND, CommandFailed
from orca.cli.following import FINISHED
from orca.cli.output import Part, Screen, Styled
from orca.cli.progress import step_name
from orca.cli.selection import Row, find_id, service_path
from orca.cli.states import state_of
from orca.cli.times import ago, duration

_ID_LENGTH = 36


def list_deployments(call: Invocation) -> None:
    """List deployments, newest first."""
    page = call.client.get(service_path(call, "/deployments"), limit=call.args.limit)
    columns = ["NUMBER", "KIND", "STATE", "WHEN", "TOOK", "BY", "REASON"]
    empty = "There are no deployments yet. `orc deploy` makes one."
    call.output.table(page, columns, _row, empty=empty, spare=("BY", "TOOK", "KIND"))


def show(call: Invocation) -> None:
    """Show a deployment with its steps."""
    detail = call.client.get(f"/deployments/{segment(find_deployment(call, call.args.number)['id'])}")
    call.output.answer(detail, lambda screen: _draw(screen, detail))


def follow(call: Invocation) -> int:
    """Follow a deployment to its end, including the log so far."""
    call.args.no_follow = False
    return report(call, find_deployment(call, call.args.number))


def cancel(call: Invocation) -> None:
    """Cancel a deployment: a queued one ends at once, a running one within seconds."""
    chosen = find_deployment(call, call.args.number, active=call.args.number is None)
    row = call.client.post(f"/deployments/{segment(chosen['id'])}/cancel")
    call.output.answer(row, lambda screen: screen.line(f"Deployment {row['number']} is being cancelled."))


def fix(call: Invocation) -> int:
    """Change the setting that the failure suggests, and deploy again."""
    row = find_deployment(call, call.args.number)
    if call.args.choice >= len(row["remedies"]):
        raise CommandFailed(f"deployment {row['number']} has no such remedy", code=NOT_FOUND)
    chosen = row["remedies"][call.args.choice]
    call.output.note(f"{chosen['label']}, and deploy again.")
    return report(call, call.client.post(f"/deployments/{segment(row['id'])}/remedies/{call.args.choice}"))


def find_deployment(call: Invocation, wanted: str | None, *, active: bool = False) -> Row:
    """Find by number or id; without one the newest, with `active` among unfinished ones. Raises CommandFailed."""
    if wanted is not None and not wanted.isdecimal():
        path = service_path(call, "/deployments") if len(wanted) < _ID_LENGTH else ""
        chosen = find_id(call.client, wanted, "deployment", "orc deployments list", path)
        row: Row = call.client.get(f"/deployments/{segment(chosen)}")
        return row
    path, cursor = service_path(call, "/deployments"), None
    while True:
        page = call.client.get(path, limit=200, cursor=cursor)
        for item in page["items"]:
            if str(item["number"]) == wanted or (wanted is None and not (active and item["state"] in FINISHED)):
                found: Row = item
                return found
        cursor = page["next_cursor"]
        if cursor is None:
            raise _missing(wanted, active=active)


def _missing(wanted: str | None, *, active: bool) -> CommandFailed:
    if wanted is not None:
        message = f"there is no deployment {wanted} of this service"
    else:
        message = "no deployment waits or runs" if active else "there are no deployments yet"
    return CommandFailed(message, hint="`orc deployments` lists them.", code=NOT_FOUND)


def _row(row: dict[str, Any]) -> list[Part]:
    spent = duration(row["started_at"], row["finished_at"])
    return [
        text_of(row["number"]), row["kind"], state_of(row["state"]), ago(row["created_at"]), text_of(spent),
        text_of(row["requested_by"] or row["trigger"]), row["reason"],
    ]  # fmt: skip


def _draw(screen: Screen, row: dict[str, Any]) -> None:
    commit = f"{row['commit'][:10]} {row['commit_message'].partition(chr(10))[0]}".strip()
    facts: list[tuple[str, Part]] = [
        ("deployment", text_of(row["number"])), ("kind", row["kind"]), ("state", state_of(row["state"])),
        ("asked for", f"{ago(row['created_at'])} by {row['requested_by'] or row['trigger']}"),
        ("took", text_of(duration(row["started_at"], row["finished_at"]))), ("commit", text_of(commit)),
        ("image", text_of(row["image"])), ("id", row["id"]),
    ]  # fmt: skip
    facts += [("waits", row["waits_for"])] if row.get("waits_for") else []
    facts += [("warning", Styled(warning, "yellow")) for warning in row["warnings"]]
    facts += [("reason", Styled(row["reason"], "red"))] if row["reason"] else []
    facts += [("next step", row["hint"])] if row["hint"] else []
    facts += [("would mend it", f"{remedy['label']} (`orc deployments fix`)") for remedy in row["remedies"]]
    screen.facts(facts)
    screen.line()
    screen.table(["STEP", "STATE", "TOOK", ""], [
        [step_name(step["name"]), state_of(step["state"]), duration(step["started_at"], step["finished_at"]),
         step["detail"]]
        for step in row["steps"]
    ])  # fmt: skip


def number_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that selects a deployment."""
    parser.add_argument("number", nargs="?", metavar="NUMBER", help="number or id (default: the newest)")


def _cancel_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", nargs="?", metavar="NUMBER", help="number or id (default: the one that is active)")


def _fix_arguments(parser: argparse.ArgumentParser) -> None:
    number_argument(parser)
    parser.add_argument("--choice", type=whole_number, default=0, metavar="N", help="which remedy (default: the first)")
    follow_argument(parser)


COMMANDS = {
    "list": Command(list_deployments, "orc deployments list web --limit 5", arguments=limit_argument),
    "show": Command(show, "orc deployments show 12", arguments=number_argument, number="number"),
    "follow": Command(follow, "orc deployments follow web", arguments=number_argument, number="number"),
    "fix": Command(
        fix, "orc deployments fix\norc deployments fix 12 --choice 1", arguments=_fix_arguments, number="number"
    ),
    "cancel": Command(
        cancel, "orc cancel web\norc deployments cancel 12", arguments=_cancel_arguments, number="number"
    ),
}  # fmt: skip
