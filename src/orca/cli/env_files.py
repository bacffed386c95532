"""`orc env pull`, `edit` and `diff`: variables as a file of KEY=value lines, and what differs from one."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Invocation
from orca.cli.dialogue import ask_yes, is_interactive
from orca.cli.failures import REFUSED, CommandFailed, UsageError
from orca.cli.files import replace_file
from orca.cli.output import Screen, Styled
from orca.kit.amounts import counted
from orca.kit.dotenv import MOST_PROBLEMS, BadLine, read_dotenv, write_dotenv

Variable = dict[str, Any]
STDIO = "-"
_PRIVATE = 0o600
_EDITORS = ("VISUAL", "EDITOR")


def pull(call: Invocation, path: str) -> None:
    """Write the variables to a file that only its owner can read."""
    variables = call.client.get(path)
    values = {variable["key"]: variable["value"] for variable in variables if not variable["is_secret"]}
    secret = [variable["key"] for variable in variables if variable["is_secret"]]
    for key in secret if call.args.reveal else ():
        values[key] = call.client.post(f"{path}/{segment(key)}/reveal")["value"]
    left_out = [] if call.args.reveal else secret
    text = write_dotenv(values)
    text += "".join(f"# {key} is a secret; `orc env pull --reveal` writes its value\n" for key in left_out)
    if call.args.file == STDIO:
        call.output.out.value(text)
        return
    file = call.folder / call.args.file
    if os.path.lexists(file) and not call.args.force:
        raise CommandFailed(f"{file} is there already", hint="--force replaces it.", code=REFUSED)
    try:
        replace_file(file, text, mode=_PRIVATE)
    except OSError as error:
        raise CommandFailed(f"{file} cannot be written: {error.strerror}", code=REFUSED) from None
    without = f", without {counted(len(left_out), 'secret')}" if left_out else ""
    told = f"Wrote {counted(len(values), 'variable')} to {file}{without}."
    written = {"file": str(file), "keys": sorted(values), "without": left_out}
    call.output.answer(written, lambda screen: screen.line(told))


def edit(call: Invocation, path: str) -> None:
    """Open the variables in an editor, show what changed, and store all of it or nothing."""
    if not is_interactive():
        raise UsageError("there is no terminal for an editor", hint="`orc env set` and `orc env import` need none.")
    stored: list[Variable] = call.client.get(path)
    plain = {variable["key"]: variable["value"] for variable in stored if not variable["is_secret"]}
    secret = [variable["key"] for variable in stored if variable["is_secret"]]
    edited = _edit(_with_remarks(plain, secret))
    hidden = sorted(set(edited) & set(secret))
    if hidden:
        hint = f"Nothing was changed. `orc env set --secret {hidden[0]}` replaces its value."
        raise CommandFailed(f"{', '.join(hidden)}: a secret is not set in this file", hint=hint, code=REFUSED)
    changes = compare(plain, edited)
    if not any(changes.values()):
        call.output.note("Nothing was changed.")
        return
    draw_changes(call.output.err, changes, plain, edited)
    if not ask_yes(call.output, "Store this?"):
        raise CommandFailed("nothing was changed", code=REFUSED)
    is_build = {variable["key"]: variable["is_build_time"] for variable in stored}
    rows = [
        {"key": key, "value": edited[key], "is_secret": False, "is_build_time": is_build.get(key, False)}
        for key in (*changes["added"], *changes["changed"])
    ]
    changed = call.client.call("PATCH", path, body={"variables": rows, "removed": changes["removed"]})
    call.output.answer(changed, lambda screen: screen.line("Stored. It takes effect with the next deployment."))


def diff(call: Invocation, path: str) -> None:
    """Compare the stored variables with a file; values of secrets are not known, and so not compared."""
    stored = call.client.get(path)
    file = read_file(call.args.file)
    secret = sorted(variable["key"] for variable in stored if variable["is_secret"] and variable["key"] in file)
    known = {variable["key"]: variable["value"] for variable in stored if not variable["is_secret"]}
    missing = {variable["key"]: "" for variable in stored if variable["is_secret"] and variable["key"] not in file}
    compared = {key: value for key, value in file.items() if key not in secret}
    changes = compare(known, compared)
    changes["removed"] = sorted([*changes["removed"], *missing])

    def draw(screen: Screen) -> None:
        draw_changes(screen, changes, known, compared)
        if not any(changes.values()):
            screen.line("No difference.")

    call.output.answer({**changes, "not_compared": secret}, draw)
    if secret:
        call.output.note(f"Not compared, as the server keeps their values: {', '.join(secret)}.")


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the keys that were added, changed and removed."""
    return {
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(key for key in before.keys() & after.keys() if before[key] != after[key]),
        "removed": sorted(before.keys() - after.keys()),
    }


def draw_changes(
    screen: Screen, changes: Mapping[str, Iterable[str]], before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    """Print changes as lines with plus and minus; a secret, whose value is not known, by its name."""
    for key in sorted({key for keys in changes.values() for key in keys}):
        if key not in changes["added"]:
            screen.line(Styled(f"- {_line(key, before)}", "red"))
        if key not in changes["removed"]:
            screen.line(Styled(f"+ {_line(key, after)}", "green"))


def _line(key: str, values: Mapping[str, str]) -> str:
    return write_dotenv({key: values[key]}).rstrip("\n") if key in values else f"{key} (secret)"


def read_file(name: str) -> dict[str, str]:
    """Return the variables of a file, or of stdin. Raises CommandFailed with every bad line."""
    try:
        text = sys.stdin.read() if name == STDIO else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{name} cannot be read: {error}", code=REFUSED) from None
    return _parse(name, text)


def _parse(name: str, text: str) -> dict[str, str]:
    found, problems = read_dotenv(text)
    if problems:
        raise _unreadable(name, problems)
    return {assignment.key: assignment.value for assignment in found}


def _unreadable(file: str, problems: list[BadLine]) -> CommandFailed:
    hint = "Nothing was changed."
    if len(problems) == 1:
        return CommandFailed(f"{file}, {problems[0]}", hint=hint, code=REFUSED)
    least = "at least " if len(problems) >= MOST_PROBLEMS else ""
    message = f"{file} has {least}{counted(len(problems), 'mistake')}:"
    return CommandFailed(message, hint=hint, code=REFUSED, details=[str(problem) for problem in problems])


def _with_remarks(plain: Mapping[str, str], secret: Iterable[str]) -> str:
    remarks = (
        "# KEY=value lines; a line that is removed here removes the variable. Save and leave the editor to go on.\n"
    )
    kept = "".join(f"# {key} is a secret and stays; `orc env set --secret {key}` replaces it.\n" for key in secret)
    return remarks + kept + write_dotenv(plain)


def _edit(text: str) -> dict[str, str]:
    """Return what an editor made of the text, in a folder that only this user can read and that is always removed."""
    given = next((value for name in _EDITORS if (value := os.environ.get(name))), "vi")
    with tempfile.TemporaryDirectory(prefix="orc-env-") as folder:
        file = Path(folder, "variables.env")
        replace_file(file, text, mode=_PRIVATE)
        argv = shlex.split(given)
        if not argv or shutil.which(argv[0]) is None:
            hint = "Set EDITOR to one that is there, such as `EDITOR=nano`."
            raise CommandFailed(f"there is no editor {given}", hint=hint, code=REFUSED)
        ended = subprocess.run([*argv, str(file)], check=False)
        if ended.returncode != 0:
            raise CommandFailed(f"the editor ended with {ended.returncode}", hint="Nothing was changed.", code=REFUSED)
        return _parse("the edited text", file.read_text(encoding="utf-8"))
