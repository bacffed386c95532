"""The definition of a command: a function, its arguments, and examples."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from orca.cli.client import Client
from orca.cli.link import Link, find_link
from orca.cli.output import Output
from orca.cli.server import choose_server

Scope = Literal["service", "project", "server", "machine"]
Arguments = Callable[[argparse.ArgumentParser], None]


@dataclass
class Invocation:
    """One run of one command."""

    args: argparse.Namespace
    output: Output
    folder: Path
    """The folder whose `.orc/link.json` and `orca.yaml` are used."""

    @cached_property
    def link(self) -> Link | None:
        """The link of the folder."""
        return find_link(self.folder)

    @cached_property
    def client(self) -> Client:
        """The client of the chosen server. Raises CommandFailed when there is none."""
        return Client(choose_server(getattr(self.args, "server", None), self.link, os.environ))


@dataclass(frozen=True, slots=True)
class Command:
    """A command; `run` returns the exit code, None for success."""

    run: Callable[[Invocation], int | None]
    example: str
    scope: Scope = "service"
    """What its flags select: a service, a project, only a server, or none of these."""
    arguments: Arguments | None = None
    details: str = ""
    needs_dashes: bool = False
    """The program that it runs begins after `--` only: a word before that is the service."""
    number: str = ""
    """The argument that may follow the service's name, as in `orc scale web 3`."""


def whole_number(text: str) -> int:
    """Parse an argument that is a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no whole number") from None


def text_of(value: Any, empty: str = "—") -> str:
    """Format a value of the API for a table cell."""
    return empty if value is None or value == "" else str(value)
