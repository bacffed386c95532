"""Which service a folder belongs to: `.orc/link.json` beside its `orca.yaml`, kept out of Git by itself."""

import errno
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from orca.cli.failures import CommandFailed
from orca.cli.files import replace_file

FOLDER = ".orc"
_FILE = "link.json"


@dataclass(frozen=True, slots=True)
class Link:
    """The names are for people; the ids decide."""

    server: str
    """`local`, or the address of a panel."""
    project_id: str
    service_id: str
    project: str
    service: str


def find_link(folder: Path) -> Link | None:
    """The link of exactly this folder. Raises CommandFailed when it cannot be understood."""
    path = folder / FOLDER / _FILE
    try:
        content = json.loads(path.read_text())
        return Link(**{name: str(content[name]) for name in Link.__slots__})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        hint = f"Remove {path} and link the folder again: `orc link --service NAME`."
        raise CommandFailed(f"{path} cannot be read", hint=hint) from None


def write_link(folder: Path, link: Link) -> None:
    """Remember the service of a folder. Raises OSError."""
    place = folder / FOLDER
    if place.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, f"{place} is a symbolic link")
    place.mkdir(exist_ok=True)
    replace_file(place / ".gitignore", "*\n")
    replace_file(place / _FILE, json.dumps(asdict(link), indent=2) + "\n")


def remove_link(folder: Path) -> bool:
    """Forget it; False when there was none."""
    try:
        (folder / FOLDER / _FILE).unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
