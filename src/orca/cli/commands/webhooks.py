"""`orc webhooks`: what happens in the team, sent to addresses of your own."""

import argparse
import time
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.failures import CommandFailed, UsageError
from orca.cli.output import Part, Style, Styled, show_id
from orca.cli.selection import find_id
from orca.cli.times import ago

_PATH = "/api/v1/webhooks"
_TEST_SECONDS, _LOOK_SECONDS = 30.0, 0.5


def list_webhooks(call: Invocation) -> None:
    """List the webhooks, without their secrets."""
    page = call.client.list(_PATH)
    columns = ["NAME", "STATE", "EVENTS", "LAST", "ADDRESS", "ID"]
    call.output.table(page, columns, _row, empty="There are no webhooks. `orc webhooks add NAME URL` makes one.")


def add(call: Invocation) -> None:
    """Add a webhook; its secret, which verifies the messages, is shown once."""
    body = {"name": call.args.name, "url": call.args.url, "types": call.args.event or []}
    _show_once(call, call.client.post(_PATH, body))


def update(call: Invocation) -> None:
    """Change a webhook; omitted settings are unchanged."""
    given = {
        "name": call.args.name, "url": call.args.url, "types": [] if call.args.all_events else call.args.event,
        "is_enabled": call.args.enabled,
    }  # fmt: skip
    body = {key: value for key, value in given.items() if value is not None}
    if not body:
        raise UsageError("nothing to change", hint="Give --name, --url, --event, --all-events or --enabled.")
    call.client.call("PATCH", _one(call), body=body)
    call.output.note("Changed the webhook.")


def test(call: Invocation) -> None:
    """Send a test message, and wait for what comes of it."""
    sent = call.client.post(f"{_one(call)}/test")
    deadline = time.monotonic() + _TEST_SECONDS
    while sent["state"] == "queued" and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        sent = call.client.get(f"{_one(call)}/deliveries/{sent['id']}")
    call.output.answer(sent, lambda screen: screen.line(f"The receiver took it: {sent['status_code']}."))
    if sent["state"] == "queued":
        raise CommandFailed("the test message still waits", hint="`orc doctor` says whether a worker runs.")
    if sent["state"] != "delivered":
        raise CommandFailed("the test message was not taken", hint=sent["problem"])


def rotate(call: Invocation) -> None:
    """Replace the secret; messages from now on are signed with the new one, for 24 hours also with the former one."""
    _show_once(call, call.client.post(f"{_one(call)}/rotate"))


def remove(call: Invocation) -> None:
    """Remove a webhook; what waits is not sent."""
    call.client.call("DELETE", _one(call))
    call.output.note("Removed the webhook.")


def list_deliveries(call: Invocation) -> None:
    """List what was sent in the last 30 days and what waits, newest first."""
    page = call.client.list(f"{_one(call)}/deliveries")
    columns = ["WHEN", "EVENT", "STATE", "ANSWER", "TRIES", "ID"]
    empty = "Nothing was sent yet. `orc webhooks test ID` sends a test message."
    call.output.table(page, columns, _delivery_row, empty=empty)


def redeliver(call: Invocation) -> None:
    """Send a message that has ended again, under the same id."""
    path = f"{_one(call)}/deliveries"
    listed = f"orc webhooks deliveries {call.args.id}"
    delivery = find_id(call.client, call.args.delivery, "delivery", listed, path)
    sent = call.client.post(f"{path}/{segment(delivery)}/redeliver")
    call.output.answer(sent, lambda screen: screen.line("The message is sent again."))


def _row(webhook: dict[str, Any]) -> list[Part]:
    state: Part = Styled("enabled", "green") if webhook["is_enabled"] else Styled("disabled", "dim")
    if webhook["is_enabled"] and webhook["failing_since"]:
        state = Styled("failing", "yellow")
    last = webhook["last_delivery"]
    sent = f"{last['state']} {ago(last['created_at'])}" if last else "never"
    events = ", ".join(webhook["types"]) or "all"
    return [webhook["name"], state, events, sent, webhook["url"], show_id(webhook["id"])]


def _delivery_row(row: dict[str, Any]) -> list[Part]:
    styles: dict[str, Style] = {"delivered": "green", "failed": "red"}
    answer = str(row["status_code"] or row["problem"] or "none yet")
    state = Styled(row["state"], styles.get(row["state"], "dim"))
    return [ago(row["created_at"]), row["type"], state, answer, str(row["attempts"]), show_id(row["id"])]


def _show_once(call: Invocation, webhook: dict[str, Any]) -> None:
    call.output.note(Styled("The secret is not shown again.", "yellow"))
    facts = [("id", webhook["id"]), ("url", webhook["url"]), ("secret", webhook["secret"])]
    call.output.answer(webhook, lambda screen: screen.facts(facts))


def _one(call: Invocation) -> str:
    call.args.id = find_id(call.client, call.args.id, "webhook", "orc webhooks list", _PATH)
    return f"{_PATH}/{segment(call.args.id)}"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is called here")
    parser.add_argument("url", metavar="URL", help="where messages are sent, by POST")
    _event_argument(parser)


def _event_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--event", action="append", metavar="TYPE", help="send only this one, as deployment.finished (default: all)"
    )  # fmt: skip


def _update_arguments(parser: argparse.ArgumentParser) -> None:
    _id_argument(parser)
    parser.add_argument("--name", metavar="NAME", help="what it is called here")
    parser.add_argument("--url", metavar="URL", help="where messages are sent, by POST")
    _event_argument(parser)
    parser.add_argument("--all-events", action="store_true", help="send all events")
    parser.add_argument(
        "--enabled", action=argparse.BooleanOptionalAction, default=None, help="whether anything is sent at all"
    )  # fmt: skip


def _redeliver_arguments(parser: argparse.ArgumentParser) -> None:
    _id_argument(parser)
    parser.add_argument("delivery", metavar="DELIVERY", help="which message; `orc webhooks deliveries ID` lists them")


def _id_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="which webhook; `orc webhooks` lists them")


_EXAMPLE = "019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f"
COMMANDS = {
    "list": Command(list_webhooks, "orc webhooks list", scope="server"),
    "add": Command(
        add,
        "orc webhooks add chat https://hooks.example.org/orca --event deployment.finished",
        scope="server",
        arguments=_add_arguments,
    ),
    "update": Command(
        update, f"orc webhooks update {_EXAMPLE} --no-enabled", scope="server", arguments=_update_arguments
    ),
    "test": Command(test, f"orc webhooks test {_EXAMPLE}", scope="server", arguments=_id_argument),
    "rotate": Command(rotate, f"orc webhooks rotate {_EXAMPLE}", scope="server", arguments=_id_argument),
    "remove": Command(remove, f"orc webhooks remove {_EXAMPLE}", scope="server", arguments=_id_argument),
    "deliveries": Command(
        list_deliveries, f"orc webhooks deliveries {_EXAMPLE}", scope="server", arguments=_id_argument
    ),
    "redeliver": Command(
        redeliver,
        f"orc webhooks redeliver {_EXAMPLE} 019b2c1f-0d10-7e5a-a2b4-6a5f0c1d2e3f",
        scope="server",
        arguments=_redeliver_arguments,
    ),
}
