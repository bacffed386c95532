"""`orc certificates`: uploaded certificates, with their keys."""

import argparse
import base64
from pathlib import Path
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.dialogue import read_secret
from orca.cli.failures import REFUSED, CommandFailed
from orca.cli.output import Part, Screen, show_id
from orca.cli.selection import pick

_PATH = "/certificates"
_LARGEST = 48 * 1024


def list_certificates(call: Invocation) -> None:
    """List uploaded certificates, and those that Orca orders and renews."""
    answer = call.client.list(_PATH)

    def draw(screen: Screen) -> None:
        rows: list[list[Part]] = [
            [item["name"], ", ".join(item["hostnames"]), item["issuer"], item["not_after"][:10], show_id(item["id"])]
            for item in answer["items"]
        ]
        rows += [["(ordered)", managed["hostname"], managed["issuer"], managed["not_after"][:10], ""]
                 for managed in answer.get("managed") or []]  # fmt: skip
        if not rows:
            screen.line(
                "There are no certificates. `orc certificates add NAME --certificate FILE --key FILE` uploads one."
            )
            return
        screen.table(["NAME", "FOR", "FROM", "UNTIL", "ID"], rows)

    call.output.answer(answer, draw)


def add(call: Invocation) -> None:
    """Upload a certificate. An unusable one is refused with the reason."""
    made = call.client.post(_PATH, {"name": call.args.name, **_files(call)})
    _tell(call, made, "Stored")


def replace(call: Invocation) -> None:
    """Replace a certificate. Hostnames that use it serve the new one at once."""
    chosen = pick(call.client.list(_PATH)["items"], call.args.name, "certificate")
    row = call.client.call("PUT", f"{_PATH}/{segment(chosen['id'])}", body=_files(call))
    _tell(call, row, "Replaced")


def delete(call: Invocation) -> None:
    """Delete a certificate. Refused while a hostname uses it."""
    chosen = pick(call.client.list(_PATH)["items"], call.args.name, "certificate")
    call.client.call("DELETE", f"{_PATH}/{segment(chosen['id'])}")
    call.output.answer(chosen, lambda screen: screen.line(f"Removed {chosen['name']}."))


def _tell(call: Invocation, row: dict[str, Any], done: str) -> None:
    text = (
        f"{done} {row['name']} for {', '.join(row['hostnames'])}, until {row['not_after'][:10]}; its id is {row['id']}."
    )
    call.output.answer(row, lambda screen: screen.line(text))


def _files(call: Invocation) -> dict[str, str]:
    body = {"certificate": _read(call.args.certificate)}
    if call.args.key:
        body["private_key"] = _read(call.args.key)
    if call.args.password:
        body["password"] = read_secret("Password of the key: ")
    return body


def _read(path: str) -> str:
    """Read a file: PEM unchanged; DER and PKCS#12 as base64, which the server accepts."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}", code=REFUSED) from None
    if len(data) > _LARGEST:
        raise CommandFailed(f"{path} is too large for a certificate or key", code=REFUSED)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()
    return text if "-----BEGIN" in text else base64.b64encode(data).decode()


def _take_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--certificate", metavar="FILE", required=True, help="the chain (PEM, DER), or a PKCS#12 file")
    parser.add_argument("--key", metavar="FILE", help="the key (PEM, DER); a PKCS#12 file holds it")
    parser.add_argument("--password", action="store_true", help="ask for the password of the key; from a pipe, read it")


def _named_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="certificate, by name or id")
    _take_files(parser)


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="certificate, by name or id")


COMMANDS = {
    "list": Command(list_certificates, "orc certificates list", scope="server"),
    "add": Command(
        add, "orc certificates add shop --certificate fullchain.pem --key privkey.pem", scope="server",
        arguments=_named_files,
    ),
    "replace": Command(
        replace, "orc certificates replace shop --certificate fullchain.pem --key privkey.pem", scope="server",
        arguments=_named_files,
    ),
    "delete": Command(delete, "orc certificates delete shop", scope="server", arguments=_name_argument),
}  # fmt: skip
