"""The two things the command itself reads in an `orca.yaml`; the server reads and checks all of it."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orca.cli.failures import REFUSED, CommandFailed

FILE_NAME = "orca.yaml"


@dataclass(frozen=True, slots=True)
class OrcaFile:
    """What it says, as far as it matters here."""

    name: str | None = None
    kind: str | None = None
    dockerfile: str = "Dockerfile"


def read_orca_file(folder: Path) -> OrcaFile:
    """The file of a folder; an empty one where there is none. Raises CommandFailed with the place of what is wrong."""
    path = folder / FILE_NAME
    try:
        content = path.read_bytes()
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
