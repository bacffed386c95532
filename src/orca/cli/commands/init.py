"""`orc init`: look at a folder, write its orca.yaml. Offline: it asks the installed Orca, not a server."""

import argparse
import subprocess
import sys

from orca.cli.command import Command, Invocation
from orca.cli.failures import REFUSED, CommandFailed, UsageError
from orca.cli.orca_file import FILE_NAME
from orca.cli.output import Styled

_SECONDS = 120.0


def initialise(call: Invocation) -> None:
    """Never overwrites a file unless told to."""
    folder = (call.folder / call.args.folder).resolve()
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    path = folder / FILE_NAME
    keeps = path.exists() and not call.args.force and not call.args.print
    if keeps and not call.args.eject:
        raise CommandFailed(f"{path} is there already", hint="--force replaces it, --print only shows.", code=REFUSED)
    content = _look(str(folder), *(["--eject"] if call.args.eject else []))
    if call.args.print:
        call.output.out.text(content)
        return
    if not keeps:
        _write(call, str(path), content)
    if call.args.eject:
        call.output.out.line(Styled("Wrote ", "green"), str(folder / "Dockerfile"))
    call.output.note("Next: `orc deploy`.")


def _look(*arguments: str) -> str:
    """-P: the folder must not lend its modules to us."""
    argv = [sys.executable, "-P", "-m", "orca.initialise", *arguments]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"looking at the folder took more than {_SECONDS:.0f} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason was given"]
        message, hint = lines[-1].removeprefix("error: "), ""
        if len(lines) > 1 and lines[-1].startswith("hint: "):
            message, hint = lines[-2].removeprefix("error: "), lines[-1].removeprefix("hint: ")
        raise CommandFailed(message, hint=hint, code=REFUSED)
    return done.stdout


def _write(call: Invocation, path: str, content: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path from resolve(), as text
            file.write(content)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}", code=REFUSED) from None
    call.output.out.line(Styled("Wrote ", "green"), path)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", default=".", metavar="FOLDER", help="folder to look at (default: this one)"
    )
    parser.add_argument("--eject", action="store_true", help="also write the Dockerfile that would be made")
    parser.add_argument("--force", action="store_true", help="replace an orca.yaml that is there")
    parser.add_argument("--print", action="store_true", help="print it and write nothing")


COMMANDS = {
    "init": Command(initialise, "orc init\norc init --eject ./shop", scope="machine", arguments=_arguments),
}
