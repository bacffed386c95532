"""`instance.json` in the data directory: whose directory it is, and how far its database had come."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orca.errors import StartRefused
from orca.kit.files import write_atomically

FILE_NAME = "instance.json"


@dataclass(frozen=True, slots=True)
class Marker:
    """What the file says."""

    id: str
    key_fingerprint: str
    proxy: str = "proxy"
    """The folder of its proxy, below the data directory."""
    seq: int = 0
    """The newest event that was seen."""
    hash: str = ""


def find_marker(data_dir: Path) -> Marker | None:
    """None when there is no file. Raises StartRefused when it cannot be understood. Blocks."""
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
    """Replace it. The one of another instance is kept beside it. Blocks."""
    path = data_dir / FILE_NAME
    content = (json.dumps(asdict(marker), indent=2) + "\n").encode()
    earlier = path.read_bytes() if path.exists() else b""
    if earlier == content:
        return
    if earlier and (other := _id_in(earlier)) and other != marker.id:
        write_atomically(data_dir / f"instance-{other}.json", earlier)
    write_atomically(path, content)


def set_aside_broken(data_dir: Path) -> None:
    """Make room for a new file where there is one that cannot be read. Blocks."""
    try:
        find_marker(data_dir)
    except StartRefused:
        (data_dir / FILE_NAME).replace(data_dir / f"{FILE_NAME}.broken")


def note_progress(data_dir: Path, seq: int, event_hash: str) -> None:
    """Remember the newest event; never an older one. Blocks."""
    marker = find_marker(data_dir)
    if marker is not None and seq > marker.seq:
        write_marker(data_dir, replace(marker, seq=seq, hash=event_hash))


def _id_in(content: bytes) -> str:
    try:
        return str(json.loads(content)["id"])
    except (ValueError, TypeError, LookupError):
        return ""
