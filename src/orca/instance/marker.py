"""`instance.json` in the data directory: the instance it belongs to, and the last event of its database."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orca.errors import StartRefused
from orca.kit.files import write_atomically

FILE_NAME = "instance.json"


@dataclass(frozen=True, slots=True)
class Marker:
    """The content of the file."""

    id: str
    key_fingerprint: str
    proxy: str = "proxy"
    """The folder of its proxy, below the data directory."""
    seq: int = 0
    """The newest event that was recorded here."""
    hash: str = ""


def find_marker(data_dir: Path) -> Marker | None:
    """Read the file; None when there is none. Raises StartRefused when it cannot be parsed. Blocks."""
    path = data_dir / FILE_NAME
    try:
        marker = Marker(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError):
        raise StartRefused(
            f"{path} cannot be read: it says whose data directory this is",
            hint="Put it back from a copy of the data directory, or have it written again by `orc adopt`.",
        ) from None
    return marker


def write_marker(data_dir: Path, marker: Marker) -> None:
    """Replace the file. That of another instance is copied beside it first. Blocks."""
    path = data_dir / FILE_NAME
    content = (json.dumps(asdict(marker), indent=2) + "\n").encode()
    earlier = path.read_bytes() if path.exists() else b""
    if earlier == content:
        return
    if earlier and (other := _id_in(earlier)) and other != marker.id:
        write_atomically(data_dir / f"instance-{other}.json", earlier)
    write_atomically(path, content)


def set_aside_broken(data_dir: Path) -> None:
    """Rename a file that cannot be parsed, to make room for a new one. Blocks."""
    try:
        find_marker(data_dir)
    except StartRefused:
        (data_dir / FILE_NAME).replace(data_dir / f"{FILE_NAME}.broken")


def note_progress(data_dir: Path, seq: int, event_hash: str) -> None:
    """Store the newest event; never an older one. Blocks."""
    marker = find_marker(data_dir)
    if marker is not None and seq > marker.seq:
        write_marker(data_dir, replace(marker, seq=seq, hash=event_hash))


def _id_in(content: bytes) -> str:
    try:
        return str(json.loads(content)["id"])
    except (ValueError, TypeError, LookupError):
        return ""
