"""`orc tokens`: the user's own API tokens."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation, text_of, whole_number
from orca.cli.output import Part, Styled, show_id
from orca.cli.selection import pick
from orca.cli.times import ago


def list_tokens(call: Invocation) -> None:
    """List valid tokens, newest first."""
    page = call.client.list("/tokens")
    columns = ["NAME", "SCOPES", "USED", "EXPIRES", "OF", "ID"]
    empty = "There are no API tokens. `orc tokens create NAME --scope service.deploy` makes one."
    call.output.table(page, columns, _row, empty=empty)


def create(call: Invocation) -> None:
    """Create a token. Only the token is written to stdout, so that it can be piped."""
    body = {"name": call.args.name, "scopes": call.args.scope, "expires_in_days": call.args.days}
    made = call.client.post("/tokens", body)
    call.output.note(Styled("This is the only time the token is shown.", "yellow"))
    call.output.answer(made, lambda screen: screen.line(made["token"]))


def revoke(call: Invocation) -> None:
    """Revoke a token, which stops working at once."""
    token = pick(call.client.list("/tokens")["items"], call.args.name, "token")
    call.client.call("DELETE", f"/tokens/{segment(token['id'])}")
    call.output.answer(token, lambda screen: screen.line(f"{token['name']} does not work any more."))


def _row(token: dict[str, Any]) -> list[Part]:
    return [token["name"], ", ".join(token["scopes"]), ago(token["used_at"]), ago(token["expires_at"]),
            text_of(token["user_email"]), show_id(token["id"])]  # fmt: skip


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is for")
    parser.add_argument(
        "--scope", action="append", required=True, metavar="PERMISSION",
        help="what it may do; can be repeated; * is whatever you may do yourself",
    )  # fmt: skip
    parser.add_argument(
        "--days", type=whole_number, default=90, metavar="N", help="until it expires (default: 90, at most 365)"
    )


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="token, by name or id")


COMMANDS = {
    "list": Command(list_tokens, "orc tokens list", scope="server"),
    "create": Command(
        create, "orc tokens create ci --scope service.deploy --scope deployment.read --days 30", scope="server",
        arguments=_create_arguments,
    ),
    "revoke": Command(revoke, "orc tokens revoke ci", scope="server", arguments=_name_argument),
}  # fmt: skip
