"""`orc logs`: what replicas write or wrote, or the log of a deployment."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation, whole_number
from orca.cli.commands.deployments import find_deployment
from orca.cli.failures import NOT_FOUND, CommandFailed
from orca.cli.lines import add_filters, has_filters, read_last_words, read_lines
from orca.cli.output import Style, Styled
from orca.cli.selection import same_choice, service_path
from orca.cli.sse import follow

_NEWEST = "newest"
_PATIENCE = 10.0
_COLUMN: tuple[Style, ...] = ("cyan", "green", "yellow", "bold", "dim")


def show_logs(call: Invocation) -> None:
    """Show the output of replicas, or with `--deployment` the log of a deployment."""
    if call.args.deployment is not None:
        _show_deployment(call)
        return
    if has_filters(call):
        for line in read_lines(call):
            _draw(call, line)
        return
    if call.args.replica is not None:
        _check_replica(call)
    target = service_path(call, "/logs") + f"?tail={call.args.tail}"
    target += f"&replica={call.args.replica}" if call.args.replica is not None else ""
    target += "&follow=true" if call.args.follow else ""
    events = follow(call.client, target, patience=_PATIENCE)
    is_silent = True
    for event in events:
        if event.name == "log":
            is_silent = False
            _draw(call, event.data)
    if is_silent and not call.client.get(service_path(call, "/containers")):
        for line in read_last_words(call):
            _draw(call, line)
        again = f"orc logs -d{same_choice(call)}"
        call.output.note(f"Nothing runs, so that nothing is written. The log of the last deployment: `{again}`.")
    elif call.args.follow:
        call.output.note("All replicas have ended.")


def _check_replica(call: Invocation) -> None:
    known = sorted({container["replica"] for container in call.client.get(service_path(call, "/containers"))})
    if call.args.replica not in known:
        there = ", ".join(map(str, known)) or "none"
        raise CommandFailed(f"there is no replica {call.args.replica}", hint=f"There is: {there}.", code=NOT_FOUND)


def _draw(call: Invocation, line: dict[str, Any]) -> None:
    if call.output.as_json:
        call.output.stream(line)
        return
    screen = call.output.out
    moment = f"{line['at'][11:19]} " if line["at"] and call.args.times else ""
    look = _COLUMN[line["replica"] % len(_COLUMN)]
    for text in line["text"].splitlines() or [""]:
        screen.prefixed((Styled(f"{moment}{line['replica']} ", look),), text)


def _show_deployment(call: Invocation) -> None:
    wanted = None if call.args.deployment == _NEWEST else call.args.deployment
    path = f"/deployments/{segment(find_deployment(call, wanted)['id'])}/log"
    if call.args.follow or call.output.as_json:
        for event in follow(call.client, path):
            if event.name == "log":
                _show_chunk(call, event.data)
        return
    with call.client.open("GET", path, {"Accept": "text/plain"}) as response:
        for raw in response:
            call.output.out.text(raw.decode("utf-8", "replace"))


def _show_chunk(call: Invocation, chunk: dict[str, Any]) -> None:
    if call.output.as_json:
        call.output.stream(chunk)
    else:
        call.output.out.text(chunk["text"])


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="wait for more")
    parser.add_argument(
        "-n",
        "--tail",
        type=whole_number,
        default=200,
        metavar="N",
        help="lines of each replica to begin with; with a filter, of all",
    )
    parser.add_argument("--replica", type=whole_number, metavar="N", help="only this replica")
    add_filters(parser)
    parser.add_argument("-t", "--times", action="store_true", help="show when each line was written (UTC)")
    parser.add_argument(
        "-d", "--deployment", nargs="?", const=_NEWEST, metavar="NUMBER",
        help="the log of a deployment instead (default: of the newest)",
    )  # fmt: skip


COMMANDS = {
    "logs": Command(
        show_logs,
        "orc logs --follow\norc logs --since 2h --level error\norc logs --deployment 12",
        arguments=_arguments,
    )
}
