"""Names of services and projects for completion, requested from the server while the user waits after Tab.

`orc __complete service|project WORDS…` prints one per line, or nothing if that would take too long.
"""

import os
import re
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from orca.cli.client import Client
from orca.cli.link import find_link
from orca.cli.selection import Row, list_services, matching
from orca.cli.server import choose_server

SECONDS = 1.0
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Shells expand completions, so that a name from a server must not contain code."""


def list_names(what: str, words: Sequence[str]) -> list[str]:
    """Return names for the command line so far. Ends the process when that takes more than a second."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        server = choose_server(_value(words, "--server"), find_link(Path.cwd()), os.environ)
        rows = _rows(Client(server, timeout=SECONDS), what, _value(words, "--project", "-p"))
        return list(dict.fromkeys(_slugs(rows)))
    except Exception:  # noqa: BLE001 - whatever is wrong, a Tab key is not the place to say so
        return []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _rows(client: Client, what: str, project: str | None) -> Iterable[Row]:
    if what == "service" and project is None:
        return list_services(client)
    projects: list[Row] = client.list("/projects")["items"]
    if what == "project":
        return projects
    return [row for found in matching(projects, project or "") for row in list_services(client, project_id=found["id"])]


def _slugs(rows: Iterable[Row]) -> list[str]:
    return [row["slug"] for row in rows if _SAFE.fullmatch(row["slug"])]


def _value(words: Sequence[str], *options: str) -> str | None:
    """Return the value of an option: `--name value`, `--name=value`, or the latter as split by bash."""
    for index, word in enumerate(words):
        name, sign, value = word.partition("=")
        if name in options:
            rest = [following for following in words[index + 1 :] if following != "="]
            return value if sign and value else next(iter(rest), None)
    return None
