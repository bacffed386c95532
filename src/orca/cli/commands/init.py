"""`orc init`: inspects a folder and writes its orca.yaml. Offline: it uses the installed Orca, not a server."""

import argparse
from pathlib import Path

from orca.cli.command import Command, Invocation, whole_number
from orca.cli.dialogue import choose_port
from orca.cli.failures import REFUSED, CommandFailed, UsageError
from orca.cli.files import replace_file
from orca.cli.local_check import SeveralPorts, read_folder
from orca.cli.orca_file import FILE_NAME
from orca.cli.output import Styled

_DOCKERFILE = "Dockerfile"


def initialise(call: Invocation) -> None:
    """Write the files; an existing one is overwritten only on request."""
    folder = (call.folder / call.args.folder).resolve()
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    name, options = (_DOCKERFILE, ["--eject"]) if call.args.eject else (FILE_NAME, [])
    _check_free(call, folder / name)
    if call.args.port is not None:
        options = [*options, "--port", str(call.args.port)]
    try:
        files = read_folder(folder, *options)
    except SeveralPorts as error:
        port = choose_port(call.output, error.ports)
        if port is None:
            error.hint = f"{error.hint} `orc init --port {error.ports[0]}` writes it."
            raise
        files = read_folder(folder, *options, "--port", str(port))
    if call.args.print:
        for path, content in files.items():
            call.output.out.text(content if len(files) == 1 else f"# {path}\n{content}\n")
        return
    for path, content in files.items():
        if path != name and (folder / path).exists():
            continue  # the build keeps the project's own as well
        _write(folder / path, content)
        call.output.out.line(Styled("Wrote ", "green"), str(folder / path))
    call.output.note("Next: `orc deploy`.")


def _check_free(call: Invocation, path: Path) -> None:
    if path.exists() and not (call.args.force or call.args.print):
        raise CommandFailed(f"{path} is there already", hint="--force replaces it, --print only shows.", code=REFUSED)


def _write(path: Path, content: str) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}", code=REFUSED) from None


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="which folder (default: this one)")
    parser.add_argument("--eject", action="store_true", help="write the Dockerfile that Orca would make, to be changed")
    parser.add_argument("--force", action="store_true", help="replace the file if it is there")
    parser.add_argument("--port", type=whole_number, metavar="PORT", help="where it listens, whatever is found")
    parser.add_argument("--print", action="store_true", help="print it and write nothing")


COMMANDS = {
    "init": Command(initialise, "orc init\norc init --eject ./shop", scope="machine", arguments=_arguments),
}
