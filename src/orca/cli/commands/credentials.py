"""`orc credentials`: credentials for private repositories and registries."""

import argparse
import sys
from pathlib import Path
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.dialogue import read_secret
from orca.cli.failures import REFUSED, CommandFailed
from orca.cli.output import Part, Screen, Styled, show_id
from orca.cli.selection import pick
from orca.cli.times import ago

_GIT, _REGISTRY = "/git-credentials", "/registry-credentials"


def list_credentials(call: Invocation) -> None:
    """List both kinds, without their secrets."""
    git, registry = call.client.list(_GIT), call.client.list(_REGISTRY)

    def draw(screen: Screen) -> None:
        rows = [*map(_git_row, git["items"]), *map(_registry_row, registry["items"])]
        if not rows:
            screen.line("There are no credentials. `orc credentials add-key NAME --host HOST` makes a deploy key.")
            return
        screen.table(["NAME", "KIND", "FOR", "MADE", "ID"], rows)

    call.output.answer({"git": git["items"], "registry": registry["items"]}, draw)


def add_key(call: Invocation) -> None:
    """Create a key pair. Orca stores the private key; the public one has to be added at the Git host."""
    body = {"name": call.args.name, "kind": "ssh", "host": call.args.host}
    body["known_hosts"] = _known_hosts(call.args.known_hosts)
    made = call.client.post(_GIT, body)
    call.output.note("Register this key at the Git host; reading is enough:")
    call.output.answer(made, lambda screen: screen.line(made["public_key"]))


def add_token(call: Invocation) -> None:
    """Store a token, which is typed or read from stdin."""
    body = {"name": call.args.name, "kind": "token", "host": call.args.host, "token": read_secret("Token: ")}
    body |= {"username": call.args.username} if call.args.username else {}
    _tell(call, call.client.post(_GIT, body))


def add_registry(call: Invocation) -> None:
    """Store a registry's login; the password is typed or read from stdin."""
    name = call.args.name or call.args.host
    body = {"name": name, "host": call.args.host, "username": call.args.username, "password": read_secret("Password: ")}
    _tell(call, call.client.post(_REGISTRY, body))


def set_host(call: Invocation) -> None:
    """Change the host. The token has to be entered again: only its owner may send it elsewhere."""
    chosen = pick(call.client.list(_GIT)["items"], call.args.name, "credential")
    body = {"host": call.args.host} | ({"token": read_secret("Token: ")} if chosen["kind"] == "token" else {})
    row = call.client.call("PATCH", f"{_GIT}/{segment(chosen['id'])}", body=body)
    call.output.answer(row, lambda screen: screen.line(f"{row['name']} is used at {row['host']} only."))


def delete(call: Invocation) -> None:
    """Delete a credential. Refused while a service uses it."""
    git, registry = call.client.list(_GIT)["items"], call.client.list(_REGISTRY)["items"]
    chosen = pick([*git, *registry], call.args.name, "credential")
    path = _GIT if chosen in git else _REGISTRY
    call.client.call("DELETE", f"{path}/{segment(chosen['id'])}")
    call.output.answer(chosen, lambda screen: screen.line(f"Removed {chosen['name']}."))


def _tell(call: Invocation, made: dict[str, Any]) -> None:
    call.output.answer(made, lambda screen: screen.line(f"Stored {made['name']} as {made['id']}."))


def _known_hosts(path: str | None) -> str:
    if path is None:
        return ""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} cannot be read: {error}", code=REFUSED) from None


def _git_row(row: dict[str, Any]) -> list[Part]:
    kind = "deploy key" if row["kind"] == "ssh" else "token"
    return [row["name"], kind, row["host"] or Styled("no host yet", "dim"), ago(row["created_at"]), show_id(row["id"])]


def _registry_row(row: dict[str, Any]) -> list[Part]:
    return [row["name"], "login", f"{row['username']} at {row['host']}", ago(row["created_at"]), show_id(row["id"])]


def _git_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is called here")
    parser.add_argument("--host", required=True, metavar="HOST", help="the only one it is used at, such as github.com")


def _key_arguments(parser: argparse.ArgumentParser) -> None:
    _git_arguments(parser)
    parser.add_argument("--known-hosts", metavar="FILE", help="host keys to trust, as in known_hosts; - is stdin")


def _token_arguments(parser: argparse.ArgumentParser) -> None:
    _git_arguments(parser)
    parser.add_argument("--username", metavar="NAME", help="where the host wants a certain one")


def _registry_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help="such as ghcr.io or docker.io")
    parser.add_argument("--username", required=True, metavar="NAME", help="who signs in there")
    parser.add_argument("--name", metavar="NAME", help="what it is called here (default: the host)")


def _host_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="Git credential, by name or id")
    parser.add_argument("host", metavar="HOST", help="such as github.com, or git.example.org:8443")


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="credential, by name or id")


COMMANDS = {
    "list": Command(list_credentials, "orc credentials list", scope="server"),
    "add-key": Command(
        add_key, "orc credentials add-key shop --host github.com --known-hosts hosts.txt", scope="server",
        arguments=_key_arguments,
    ),
    "add-token": Command(
        add_token, "orc credentials add-token acme --host github.com < token.txt", scope="server",
        arguments=_token_arguments,
    ),
    "add-registry": Command(
        add_registry, "orc credentials add-registry ghcr.io --username acme < token.txt", scope="server",
        arguments=_registry_arguments,
    ),
    "set-host": Command(
        set_host, "orc credentials set-host acme github.com < token.txt", scope="server", arguments=_host_arguments
    ),
    "delete": Command(delete, "orc credentials delete shop", scope="server", arguments=_name_argument),
}  # fmt: skip
