"""`orc env`: variables of a service or of a whole project. Secret values are never command-line arguments."""

import argparse
import re
import sys
from typing import Any

from orca.cli import env_files
from orca.cli.changes import CHANGE_SIGNS, get_changes
from orca.cli.client import segment
from orca.cli.command import Command, Invocation, text_of
from orca.cli.dialogue import read_secret
from orca.cli.failures import NOT_FOUND, REFUSED, CommandFailed, UsageError
from orca.cli.output import Part, Screen, Styled
from orca.cli.selection import get_project, service_id, service_path
from orca.cli.times import ago

_PLACE = re.compile(r"variables\.(\d+)\.(?:key|value)")


def list_variables(call: Invocation) -> None:
    """List variables; of secret ones only the names."""
    variables = call.client.get(_path(call))

    def draw(screen: Screen) -> None:
        if not variables:
            screen.line("There are no variables. `orc env set KEY=value` sets one.")
            return
        screen.table(["KEY", "VALUE", "BUILD", "CHANGED"], map(_row, variables))

    call.output.answer(variables, draw)


def set_variables(call: Invocation) -> None:
    """Set KEY=value arguments or, with `--secret`, only keys, whose values are typed or read from stdin."""
    given = _secrets(call.args.variables) if call.args.secret else dict(map(_pair, call.args.variables))
    _change(call, given)
    for key in [key for key, value in given.items() if call.args.secret and value.find("\n") == len(value) - 1 >= 0]:
        call.output.note(f"The value of {key} ends with a newline, as it was given; `printf %s` writes none.")


def unset_variables(call: Invocation) -> None:
    """Remove keys; missing ones are reported. Raises CommandFailed if all of them are missing."""
    path, keys = _path(call), list(dict.fromkeys(call.args.keys))
    known = {variable["key"] for variable in call.client.get(path)}
    absent = [key for key in keys if key not in known]
    if len(absent) == len(keys):
        hint = "Nothing was changed; `orc env list` shows what there is."
        raise CommandFailed(f"there is no variable {', '.join(absent)}", hint=hint, code=NOT_FOUND)
    removed = [key for key in keys if key in known]
    _tell(call, call.client.call("PATCH", path, body={"removed": removed}), "Removed", removed)
    if absent:
        call.output.note(f"There was no variable {', '.join(absent)}.")


def import_variables(call: Invocation) -> None:
    """Import all variables of a file, or of stdin."""
    found = env_files.read_file(call.args.file)
    if not found:
        raise CommandFailed(f"{call.args.file} sets no variables", code=REFUSED)
    _change(call, found)


def pull(call: Invocation) -> None:
    """Write variables to a file; secret ones only on request, and each access is recorded."""
    env_files.pull(call, _path(call))


def edit(call: Invocation) -> None:
    """Edit all variables but the secret ones in $EDITOR."""
    env_files.edit(call, _path(call))


def diff(call: Invocation) -> None:
    """Compare with a file, or what waits for the next deployment with what runs."""
    if call.args.file is not None:
        env_files.diff(call, _path(call))
        return
    if call.args.shared:
        raise UsageError("variables of a project are compared with a file", hint="`orc env diff --shared FILE`")
    waiting = get_changes(call.client, service_id(call))

    def draw(screen: Screen) -> None:
        for variable in waiting["variables"]:
            screen.line(CHANGE_SIGNS[variable["change"]], f" {variable['key']} {variable['change']}")
        if not waiting["variables"]:
            screen.line("What runs has the variables that are stored.")

    call.output.answer(waiting["variables"], draw)


def reveal(call: Invocation) -> None:
    """Print the bare value, so that it can be piped. The access is recorded."""
    found = call.client.post(f"{_path(call)}/{segment(call.args.key)}/reveal")
    call.output.answer(found, lambda screen: screen.value(found["value"]))


def _change(call: Invocation, given: dict[str, str]) -> None:
    rows = [
        {"key": key, "value": value, "is_secret": call.args.secret, "is_build_time": call.args.build}
        for key, value in given.items()
    ]
    try:
        changed = call.client.call("PATCH", _path(call), body={"variables": rows})
    except CommandFailed as failure:
        raise failure if call.output.as_json else _by_key(failure, list(given)) from None
    _tell(call, changed, "Set", list(given))


def _by_key(failure: CommandFailed, keys: list[str]) -> CommandFailed:
    """Return the failure with the names of variables in place of the server's indexes."""

    def rename(text: str) -> str:
        return _PLACE.sub(lambda place: keys[int(place[1])], text)

    problem = failure.problem or {}
    fields = {rename(place): told for place, told in (problem.get("fields") or {}).items()}
    if not fields:
        return failure
    renamed = {**problem, "fields": fields}
    return CommandFailed(rename(failure.message), hint=failure.hint, code=failure.code, problem=renamed)


def _tell(call: Invocation, changed: Any, done: str, keys: list[str]) -> None:
    it = "It takes" if len(keys) == 1 else "They take"
    told = f"{done} {', '.join(keys)}. {it} effect with the next deployment."
    call.output.answer(changed, lambda screen: screen.line(told))
    unreadable = [key for key in keys if not (key.isascii() and key.isidentifier())]
    if unreadable and done == "Set":
        call.output.note(f"No shell can read {', '.join(unreadable)}; programs can.")


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"{key} has no value", hint="Write KEY=value, or `orc env set --secret KEY` to type it.")
    return key, value


def _secrets(texts: list[str]) -> dict[str, str]:
    """Return secret values by key; `KEY=` means an empty value."""
    given = [text.partition("=") for text in texts]
    if any(value for _, _, value in given):
        raise UsageError(
            "a secret value does not belong on a command line, where others can read it",
            hint="Give only the key; the value is asked for, or read from stdin.",
        )
    if sum(not sign for _, sign, _ in given) > 1 and not sys.stdin.isatty():
        raise UsageError("stdin holds the value of one key only", hint="For several: `orc env import --secret -`.")
    return {key: "" if sign else _read_value(key) for key, sign, _ in given}


def _read_value(key: str) -> str:
    value = read_secret(f"{key}: ") if sys.stdin.isatty() else _read_exactly(key)
    if not value.strip("\r\n"):
        hint = f"Nothing was changed. `orc env set --secret {key}=` stores an empty value."
        raise CommandFailed(f"nothing was given for {key}", hint=hint, code=REFUSED)
    return value


def _read_exactly(key: str) -> str:
    """Read stdin unchanged: a private key without its last newline is invalid."""
    try:
        value = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        value = "\0"
    if "\0" in value:
        raise CommandFailed(
            f"what stdin holds for {key} is not text, and a variable can hold nothing else", code=REFUSED,
            hint=f"Send it as text (`base64 -w0 FILE | orc env set --secret {key}`), or put the file into a volume.",
        )  # fmt: skip
    return value


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


def _pull_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default=".env", metavar="FILE", help="where to (default: .env); - is stdout")
    parser.add_argument("--reveal", action="store_true", help="secret values, too; each access is recorded")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    _shared(parser)


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="file of KEY=value lines; - is stdin (default: what runs)"
    )
    _shared(parser)


def _reveal_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="which variable")
    _shared(parser)


COMMANDS = {
    "list": Command(list_variables, "orc env list web\norc env list --shared --project shop", arguments=_shared),
    "set": Command(
        set_variables, "orc env set LOG_LEVEL=debug WORKERS=2\norc env set --secret API_KEY < key.txt",
        arguments=_set_arguments,
    ),
    "unset": Command(unset_variables, "orc env unset LOG_LEVEL", arguments=_unset_arguments),
    "import": Command(
        import_variables, "orc env import .env.production\npass show shop | orc env import --secret -",
        arguments=_import_arguments,
    ),
    "pull": Command(
        pull, "orc env pull\norc env pull --service web --reveal .env.production", arguments=_pull_arguments,
        details="Only its owner can read the file. `orc env import` reads it again.",
    ),
    "edit": Command(
        edit, "orc env edit web\nEDITOR=nano orc env edit --shared --project shop", arguments=_shared,
        details="Shows what changed and asks; then all of it is stored, or nothing.",
    ),
    "diff": Command(
        diff, "orc env diff\norc env diff .env.production", arguments=_diff_arguments,
        details="Without a file: which variables the next deployment will change in what runs, by their names.",
    ),
    "reveal": Command(reveal, "orc env reveal API_KEY", arguments=_reveal_arguments),
}  # fmt: skip
