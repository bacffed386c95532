"""Commands that change what runs without a build: each is a deployment, and is followed like one."""

import argparse
from contextlib import suppress

from orca.cli.changes import get_rollback
from orca.cli.command import Command, Invocation, whole_number
from orca.cli.deploying import follow_argument, start
from orca.cli.failures import OK, CommandFailed
from orca.cli.following import FINISHED
from orca.cli.observing import count_running, find_newest
from orca.cli.output import Styled
from orca.cli.selection import Row, get_service, same_choice, service_id
from orca.cli.times import ago

_SHORT = 10


def roll_back(call: Invocation) -> int:
    """Roll back to the release before the live one, or to a named one."""
    service = service_id(call)
    with suppress(CommandFailed):  # a server of an earlier version cannot say it, and refusals come with the rollback
        _say_what_changes(call, get_rollback(call.client, service, call.args.release))
    return start(call, service, "rollback", {"release": call.args.release})


def _say_what_changes(call: Invocation, found: Row) -> None:
    for word, release in (("From", found["live"]), ("to", found["target"])):
        if release is not None:
            commit = f"{release['commit'][:_SHORT]} {release['commit_message'].partition(chr(10))[0]}".strip()
            parts = ", ".join(part for part in (commit, release["image"], ago(release["created_at"])) if part)
            call.output.note(f"{word} release {release['number']}", Styled(f"  {parts}", "dim"))
    for line in found["changes"]:
        call.output.note("  ", line)


def scale(call: Invocation) -> int:
    """Change the number of replicas."""
    return start(call, service_id(call), "scale", {"replicas": call.args.replicas})


def restart(call: Invocation) -> int:
    """Replace the replicas by new ones of the same release."""
    return start(call, service_id(call), "restart")


def stop(call: Invocation) -> int:
    """Stop all replicas; the hostnames then serve a page that says so."""
    service = get_service(call)
    if _is_stopped(call, service):
        again = f"orc start{same_choice(call)}"
        told = f"{service['slug']} is stopped already. `{again}` starts it again."
        call.output.answer(service, lambda screen: screen.line(told))
        return OK
    return start(call, service["id"], "stop")


def _is_stopped(call: Invocation, service: Row) -> bool:
    """Whether nothing runs, and nothing is about to."""
    newest = find_newest(call.client, service["id"]) if service["desired_state"] == "stopped" else None
    return newest is not None and newest["state"] in FINISHED


def start_again(call: Invocation) -> int:
    """Start a stopped service with the release that it had. Running replicas stay, as a restart could mean downtime."""
    service = get_service(call)
    told = _why_not_start(call, service)
    if told:
        call.output.answer(service, lambda screen: screen.line(told))
        return OK
    return start(call, service["id"], "start")


def _why_not_start(call: Invocation, service: Row) -> str:
    """Return why a start would change nothing; empty if it would, or if that is unknown now."""
    with suppress(CommandFailed):
        newest = find_newest(call.client, service["id"])
        if newest is None or newest["state"] not in FINISHED:
            return ""
        running = count_running(call.client, service["id"])
        if not running and service["replicas"] == 0:
            scale_up = f"orc scale 1{same_choice(call)}"
            return f"0 replicas of {service['slug']} are wanted. `{scale_up}` starts one."
        if service["desired_state"] == "running" and running >= service["replicas"]:
            replace = f"orc restart{same_choice(call)}"
            return f"{service['slug']} runs already; `{replace}` replaces its containers."
    return ""


def _rollback_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "release",
        nargs="?",
        type=whole_number,
        metavar="RELEASE",
        help="number of the release (default: the one before)",
    )
    follow_argument(parser)


def _scale_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("replicas", type=whole_number, metavar="REPLICAS", help="how many should run (0 to 50)")
    follow_argument(parser)


COMMANDS = {
    "rollback": Command(
        roll_back, "orc rollback\norc rollback web 12", arguments=_rollback_arguments, number="release",
        details="Nothing is built: the image and configuration of the earlier release are used as they are.",
    ),
    "scale": Command(
        scale, "orc scale 3\norc scale web 3", arguments=_scale_arguments, number="replicas",
        details="Replicas that run and stay are not restarted; only what is missing or too much is started or stopped.",
    ),
    "restart": Command(restart, "orc restart web", arguments=follow_argument),
    "stop": Command(stop, "orc stop worker", arguments=follow_argument),
    "start": Command(start_again, "orc start", arguments=follow_argument),
}  # fmt: skip
