"""The link of a folder to its service: `.orc/link.json` beside `orca.yaml`, in a folder that Git ignores."""

import errno
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from orca.cli.failures import CommandFailed
from orca.cli.files import read_plain, replace_file

FOLDER = ".orc"
_FILE = "link.json"


@dataclass(frozen=True, slots=True)
class Link:
    """A link; the names are for display, the ids identify."""

    server: str
    """`local`, or the address of a panel."""
    project_id: str
    service_id: str
    project: str
    service: str


def find_link(folder: Path) -> Link | None:
    """Read the link of exactly this folder. Raises CommandFailed when it cannot be parsed."""
    path = folder / FOLDER / _FILE
    try:
        content = json.loads(read_plain(path))
        return Link(**{name: str(content[name]) for name in Link.__slots__})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        hint = f"Remove {path} and link the folder again: `orc link --service NAME`."
        raise CommandFailed(f"{path} cannot be read", hint=hint) from None


def write_link(folder: Path, link: Link) -> None:
    """Store the service of a folder. Raises OSError."""
    place = folder / FOLDER
    if place.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, f"{place} is a symbolic link")
    place.mkdir(exist_ok=True)
    replace_file(place / ".gitignore", "*\n")
    replace_file(place / _FILE, json.dumps(asdict(link), indent=2) + "\n")


def remove_link(folder: Path) -> bool:
    """Remove the link; False when there was none."""
    try:
        (folder / FOLDER / _FILE).unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
