"""`orc env`: variables of a service or of a whole project. Secret values never stand on a command line."""

import argparse
import sys
from pathlib import Path
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation, text_of
from orca.cli.dialogue import read_secret
from orca.cli.failures import REFUSED, CommandFailed, UsageError
from orca.cli.output import Part, Screen, Styled
from orca.cli.selection import get_project, service_path
from orca.cli.times import ago
from orca.kit.dotenv import BadLine, parse_dotenv


def list_variables(call: Invocation) -> None:
    """Secret ones show that they are, and nothing more."""
    variables = call.client.get(_path(call))

    def draw(screen: Screen) -> None:
        if not variables:
            screen.line("There are no variables. `orc env set KEY=value` sets one.")
            return
        screen.table(["KEY", "VALUE", "BUILD", "CHANGED"], map(_row, variables))

    call.output.answer(variables, draw)


def set_variables(call: Invocation) -> None:
    """KEY=value on the command line, or with `--secret` only keys, whose values are typed or come from stdin."""
    given = _secrets(call.args.variables) if call.args.secret else dict(map(_pair, call.args.variables))
    _change(call, given)


def unset_variables(call: Invocation) -> None:
    """Keys that are not there are no error."""
    changed = call.client.call("PATCH", _path(call), body={"removed": call.args.keys})
    _tell(call, changed, "Removed", call.args.keys)


def import_variables(call: Invocation) -> None:
    """All of a file, or of stdin."""
    try:
        text = sys.stdin.read() if call.args.file == "-" else Path(call.args.file).read_text(encoding="utf-8")
        given = parse_dotenv(text)
    except BadLine as error:
        raise CommandFailed(f"{call.args.file}, {error}", hint="Nothing was changed.", code=REFUSED) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{call.args.file} cannot be read: {error}", code=REFUSED) from None
    if not given:
        raise CommandFailed(f"{call.args.file} sets no variables", code=REFUSED)
    _change(call, given)


def reveal(call: Invocation) -> None:
    """The bare value, so that it can be piped. That you looked is recorded."""
    found = call.client.post(f"{_path(call)}/{segment(call.args.key)}/reveal")
    call.output.answer(found, lambda screen: screen.value(found["value"]))


def _change(call: Invocation, given: dict[str, str]) -> None:
    rows = [
        {"key": key, "value": value, "is_secret": call.args.secret, "is_build_time": call.args.build}
        for key, value in given.items()
    ]
    changed = call.client.call("PATCH", _path(call), body={"variables": rows})
    _tell(call, changed, "Set", list(given))


def _tell(call: Invocation, changed: Any, done: str, keys: list[str]) -> None:
    it = "It takes" if len(keys) == 1 else "They take"
    told = f"{done} {', '.join(keys)}. {it} effect with the next deployment."
    call.output.answer(changed, lambda screen: screen.line(told))


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"{key} has no value", hint="Write KEY=value, or `orc env set --secret KEY` to type it.")
    return key, value


def _secrets(keys: list[str]) -> dict[str, str]:
    if any("=" in key for key in keys):
        raise UsageError(
            "a secret value does not belong on a command line, where others can read it",
            hint="Give only the key; the value is asked for, or read from stdin.",
        )
    if len(keys) > 1 and not sys.stdin.isatty():
        raise UsageError("stdin holds the value of one key only", hint="For several: `orc env import --secret -`.")
    return {key: read_secret(f"{key}: ") for key in keys}


def _path(call: Invocation) -> str:
    if call.args.shared:
        return f"/projects/{segment(get_project(call)['id'])}/variables"
    return service_path(call, "/variables")


def _row(variable: dict[str, Any]) -> list[Part]:
    value: Part = Styled("secret", "dim") if variable["is_secret"] else text_of(variable["value"], "")
    return [variable["key"], value, "yes" if variable["is_build_time"] else "", ago(variable["updated_at"])]


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shared", action="store_true", help="variables of the project, which all its services get")


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variables", nargs="+", metavar="KEY=VALUE", help="what to set; with --secret only KEY")
    _kind_arguments(parser)


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="file of KEY=value lines; - is stdin")
    _kind_arguments(parser)


def _kind_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--secret", action="store_true", help="store encrypted; asks for values or reads them from stdin"
    )
    parser.add_argument("--build", action="store_true", help="also give it to the build")
    _shared(parser)


def _unset_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("keys", nargs="+", metavar="KEY", help="what to remove")
    _shared(parser)


def _reveal_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="which variable")
    _shared(parser)


COMMANDS = {
    "list": Command(list_variables, "orc env list\norc env list --shared --project shop", arguments=_shared),
    "set": Command(
        set_variables, "orc env set LOG_LEVEL=debug WORKERS=2\norc env set --secret API_KEY < key.txt",
        arguments=_set_arguments,
    ),
    "unset": Command(unset_variables, "orc env unset LOG_LEVEL", arguments=_unset_arguments),
    "import": Command(
        import_variables, "orc env import .env.production\npass show shop | orc env import --secret -",
        arguments=_import_arguments,
    ),
    "reveal": Command(reveal, "orc env reveal API_KEY", arguments=_reveal_arguments),
}  # fmt: skip
