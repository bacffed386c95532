"""Entry of `orc`. It only prints the help itself, without further imports, so that this is fast."""

import importlib
import sys

from orca.cli.help import root_help

_HELP = (["--help"], ["-h"], ["help"])


def run() -> None:
    """Entry point of the `orc` script."""
    if sys.argv[1:] in _HELP:
        sys.stdout.write(root_help())
        return
    importlib.import_module("orca.cli.dispatch").run(sys.argv[1:])
