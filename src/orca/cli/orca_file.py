"""Reads the two fields of an `orca.yaml` that the command itself needs; the server reads and checks all of it."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orca.cli.failures import REFUSED, CommandFailed
from orca.cli.files import read_plain

FILE_NAME = "orca.yaml"


@dataclass(frozen=True, slots=True)
class OrcaFile:
    """The fields of the file that are needed here."""

    name: str | None = None
    kind: str | None = None
    dockerfile: str = "Dockerfile"


def read_orca_file(folder: Path) -> OrcaFile:
    """Read the file of a folder; empty if there is none. Raises CommandFailed with the position of an error."""
    path = folder / FILE_NAME
    try:
        content = read_plain(path)
    except (FileNotFoundError, NotADirectoryError):
        return OrcaFile()
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}", code=REFUSED) from None
    yaml = importlib.import_module("orca.kit.yaml")
    try:
        value = yaml.read_yaml(content).value
    except yaml.BadYaml as error:
        raise CommandFailed(f"{path}, {error}", hint="Correct the file and try again.", code=REFUSED) from None
    fields = value if isinstance(value, dict) else {}
    build = fields.get("build")
    dockerfile = build.get("dockerfile") if isinstance(build, dict) else None
    return OrcaFile(_text(fields.get("name")), _text(fields.get("kind")), _text(dockerfile) or "Dockerfile")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
