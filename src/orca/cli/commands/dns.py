"""`orc dns`: credentials for DNS challenges: for wildcards, and for names that do not lead to this server."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.dialogue import read_secret
from orca.cli.failures import REFUSED, CommandFailed, UsageError
from orca.cli.output import Screen, Styled, show_id
from orca.cli.selection import pick

_PATH, _PROVIDERS = "/dns-credentials", "/dns-providers"
Row = dict[str, Any]


def list_credentials(call: Invocation) -> None:
    """List the credentials, without their secrets."""
    answer = call.client.list(_PATH)

    def draw(screen: Screen) -> None:
        rows = [[row["name"], row["provider"], ", ".join(row["zones"]), show_id(row["id"])] for row in answer["items"]]
        if not rows:
            screen.line("There are none. `orc dns add NAME --provider PROVIDER --zone ZONE` stores one.")
            return
        screen.table(["NAME", "PROVIDER", "ZONES", "ID"], rows)

    call.output.answer(answer, draw)


def list_providers(call: Invocation) -> None:
    """List the providers and their fields: secrets are asked for, the others are passed with --set."""
    providers: list[Row] = call.client.get(_PROVIDERS)

    def draw(screen: Screen) -> None:
        rows = [
            [provider["name"], provider["label"], ", ".join(map(_describe, provider["fields"]))]
            for provider in providers
        ]
        screen.table(["PROVIDER", "NAME", "FIELDS"], rows)

    call.output.answer(providers, draw)


def add(call: Invocation) -> None:
    """Store a credential and check it at the provider at once; it is stored even if the check fails."""
    provider = _provider(call, call.args.provider)
    fields = _given(provider, call.args.set) | _secrets(provider)
    body = {"name": call.args.name, "provider": provider["name"], "zones": call.args.zone, "fields": fields}
    made = call.client.post(_PATH, body)
    call.output.answer(made, lambda screen: screen.line(f"Stored {made['name']} as {made['id']}."))
    call.output.note(f"`orc dns check {made['name']}` tries it.")


def update(call: Invocation) -> None:
    """Change a credential. Secrets are asked for only with --secrets."""
    chosen = pick(call.client.list(_PATH)["items"], call.args.name, "DNS credential", "orc dns list")
    provider = _provider(call, chosen["provider"])
    fields = _given(provider, call.args.set) | (_secrets(provider) if call.args.secrets else {})
    changes: Row = {"fields": fields} if fields else {}
    changes |= {"zones": call.args.zone} if call.args.zone else {}
    if not changes:
        raise UsageError("nothing to change was given", hint="--zone, --set and --secrets say what.")
    row = call.client.call("PATCH", f"{_PATH}/{segment(chosen['id'])}", body=changes)
    call.output.answer(row, lambda screen: screen.line(f"Changed {row['name']}: for {', '.join(row['zones'])}."))


def check(call: Invocation) -> None:
    """Try a credential; nothing is changed at the provider."""
    chosen = pick(call.client.list(_PATH)["items"], call.args.name, "DNS credential", "orc dns list")
    answer = call.client.post(f"{_PATH}/{segment(chosen['id'])}/check", {})

    def draw(screen: Screen) -> None:
        for finding in answer["findings"]:
            mark = Styled("✓", "green") if finding["ok"] else Styled("✗", "red")
            screen.line(mark, " ", " ".join(text for text in (finding["detail"], finding["hint"]) if text))

    call.output.answer(answer, draw)
    if not answer["ok"]:
        raise CommandFailed(f"{chosen['name']} cannot prove all of its zones", code=REFUSED)


def delete(call: Invocation) -> None:
    """Delete a credential. Refused while a wildcard needs it, or challenges made with it still exist."""
    chosen = pick(call.client.list(_PATH)["items"], call.args.name, "DNS credential", "orc dns list")
    call.client.call("DELETE", f"{_PATH}/{segment(chosen['id'])}")
    call.output.answer(chosen, lambda screen: screen.line(f"Removed {chosen['name']}."))


def _provider(call: Invocation, name: str) -> Row:
    providers: list[Row] = call.client.get(_PROVIDERS)
    for provider in providers:
        if provider["name"] == name:
            return provider
    raise UsageError(f"{name} is no DNS provider that Orca knows", hint="`orc dns providers` lists them.")


def _given(provider: Row, pairs: list[str]) -> dict[str, str]:
    """Parse --set. A secret in it is refused, because command lines are visible to others."""
    fields, found = {field["name"]: field for field in provider["fields"]}, {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in fields:
            raise UsageError(
                f"--set {name} is no field of {provider['label']}",
                hint=f"It has {', '.join(fields)}; write --set NAME=VALUE.",
            )
        if fields[name]["is_secret"]:
            raise UsageError(
                f"{name} is a secret: it does not belong on a command line, where others see it",
                hint="It is asked for, or read from stdin.",
            )
        found[name] = value
    return found


def _secrets(provider: Row) -> dict[str, str]:
    """Read secrets one by one from the terminal; from a pipe stdin is the only one, or has lines of NAME=VALUE."""
    wanted = {field["name"]: field["label"] for field in provider["fields"] if field["is_secret"]}
    if sys.stdin.isatty() or len(wanted) == 1:
        return {name: read_secret(f"{label}: ") for name, label in wanted.items()}
    return _read_lines(sys.stdin.read(), wanted)


def _read_lines(text: str, wanted: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals or name not in wanted:
            raise UsageError("stdin has a line that is no NAME=VALUE", hint=f"The names are {', '.join(wanted)}.")
        found[name] = value
    return found


def _describe(field: Row) -> str:
    kind = " (secret)" if field["is_secret"] else " (optional)" if field["is_optional"] else ""
    return f"{field['name']}{kind}"


def _set_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a field that is no secret; several times"
    )


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is called here")
    parser.add_argument("--provider", required=True, metavar="PROVIDER", help="such as cloudflare or rfc2136")
    parser.add_argument(
        "--zone", required=True, action="append", metavar="ZONE", help="whose names it proves; several times"
    )
    _set_argument(parser)


def _update_arguments(parser: argparse.ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("--zone", action="append", metavar="ZONE", help="whose names it proves, in place of those now")
    parser.add_argument("--secrets", action="store_true", help="ask for its secrets anew; from a pipe, read them")
    _set_argument(parser)


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="DNS credential, by name or id")


COMMANDS = {
    "list": Command(list_credentials, "orc dns list", scope="server"),
    "providers": Command(list_providers, "orc dns providers", scope="server"),
    "add": Command(
        add, "orc dns add main --provider cloudflare --zone example.org < token.txt", scope="server",
        arguments=_add_arguments,
    ),
    "update": Command(
        update, "orc dns update main --zone example.org --zone example.net", scope="server", arguments=_update_arguments
    ),
    "check": Command(check, "orc dns check main", scope="server", arguments=_name_argument),
    "delete": Command(delete, "orc dns delete main", scope="server", arguments=_name_argument),
}  # fmt: skip
