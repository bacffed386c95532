"""`orc serve`, `worker` and `doctor` execute the Orca of this machine; `orc version` prints its version."""

import argparse
import os
import platform
import sys
from typing import NoReturn

from orca import __version__
from orca.cli.command import Command, Invocation

_VARIABLES = {"host": "ORC_HOST", "port": "ORC_PORT", "data_dir": "ORC_DATA_DIR"}
_THRIFT = {"MALLOC_ARENA_MAX": "1", "PYTHONNODEBUGRANGES": "1"}
"""Saves 2 of 120 MB: threads share one heap, and tracebacks have no column numbers."""


def serve(call: Invocation) -> NoReturn:
    """Run panel, API and, by default, tasks."""
    _become(call, "orca.server.serve", *(["--new-instance"] if call.args.new_instance else []))


def work(call: Invocation) -> NoReturn:
    """Run tasks only."""
    _become(call, "orca.server.worker")


def examine(call: Invocation) -> NoReturn:
    """Check Docker, ports, disk, proxy, clock and DNS, and print how to fix problems."""
    _become(call, "orca.server.doctor", *(["--json"] if call.args.json else []))


def adopt(call: Invocation) -> NoReturn:
    """Declare that this database, this key and the containers on the engine are one instance."""
    _become(call, "orca.server.adopt", *(["--lost-secrets"] if call.args.lost_secrets else []))


def migrate_database(call: Invocation) -> NoReturn:
    """Copy the data directory's SQLite database to the empty PostgreSQL database of DATABASE_URL."""
    _become(call, "orca.server.migrate")


def show_version(call: Invocation) -> None:
    """Print the versions of this command and of Python."""
    found = {"version": __version__, "python": platform.python_version()}
    call.output.answer(found, lambda screen: screen.line(f"orc {__version__} (Python {found['python']})"))


def _become(call: Invocation, module: str, *arguments: str) -> NoReturn:
    """Execute a module of the server, with -P, so that no modules of the current folder are imported."""
    given = {_VARIABLES[name]: str(value) for name, value in vars(call.args).items() if name in _VARIABLES and value}
    sys.stdout.flush()
    env = {**_THRIFT, **os.environ, **given}
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *arguments], env)  # noqa: S606 - no shell is wanted


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="ADDRESS", help="address to listen on (ORC_HOST; default 127.0.0.1)")
    parser.add_argument("--port", metavar="PORT", help="port to listen on (ORC_PORT; default 8080)")
    parser.add_argument(
        "--new-instance", action="store_true",
        help="when database and data directory do not fit, start as another instance and leave the first one alone",
    )  # fmt: skip
    _data_argument(parser)


def _adopt_arguments(parser: argparse.ArgumentParser) -> None:
    _data_argument(parser)
    parser.add_argument(
        "--lost-secrets",
        action="store_true",
        help="accept that stored secrets cannot be opened any more",
    )


def _data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", metavar="FOLDER", help="where everything is kept (ORC_DATA_DIR; default ~/.orc)")


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    _data_argument(parser)
    _json_argument(parser)


def _json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


COMMANDS = {
    "serve": Command(
        serve, "orc serve\norc serve --host 0.0.0.0 --port 8080", scope="machine", arguments=_serve_arguments,
        details="All settings are environment variables; these options only set three of them.",
    ),
    "worker": Command(work, "orc worker", scope="machine", arguments=_data_argument),
    "doctor": Command(examine, "orc doctor", scope="machine", arguments=_doctor_arguments),
    "adopt": Command(
        adopt, "orc adopt", scope="machine", arguments=_adopt_arguments,
        details="For a database that was restored, moved or replaced by hand. Orca must not run meanwhile.",
    ),
    "migrate-database": Command(
        migrate_database, "DATABASE_URL=postgresql://user:password@host/name orc migrate-database", scope="machine",
        arguments=_data_argument,
        details="Stop Orca first. Everything is copied in one transaction and compared; the SQLite file is only read.",
    ),
    "version": Command(show_version, "orc version --json", scope="machine", arguments=_json_argument),
}  # fmt: skip
