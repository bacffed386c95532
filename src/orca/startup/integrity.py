"""Checks whether the database file is intact: briefly at each start, fully by `orc doctor`."""

import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL

from orca.errors import StartRefused
from orca.startup.facts import DAMAGED_HINT, has_content

_STEPS_BETWEEN_LOOKS = 20_000
"""SQLite instructions between two checks of the clock: a few milliseconds."""


def check_integrity(url: URL, *, seconds: float = 1.0, full: bool = False) -> bool:
    """Raise StartRefused for a damaged or read-only file; False if the time was too short for a full check. Blocks."""
    if url.get_backend_name() != "sqlite":
        return True
    path = Path(str(url.database))
    check_writable(path)
    if not has_content(path):
        return True
    try:
        problem = _ask(path, "integrity_check" if full else "quick_check", seconds)
    except sqlite3.DatabaseError as error:
        problem = str(error)
    if problem is None:
        return False
    if problem != "ok":
        raise StartRefused(f"the database {path} is damaged: {problem}", hint=DAMAGED_HINT)
    return True


def check_writable(path: Path) -> None:
    """Raise StartRefused when the disk, the folder or the file is not writable."""
    folder = path.parent
    is_mounted_so = folder.exists() and os.statvfs(folder).f_flag & os.ST_RDONLY
    targets = [place for place in (folder, path) if place.exists()]
    if is_mounted_so or not all(os.access(target, os.W_OK) for target in targets):
        raise StartRefused(
            f"{path if path.exists() else folder} cannot be written: the disk or the file is read-only",
            hint="After a disk error Linux mounts it read-only: look at `dmesg`. Else correct the owner and mode.",
        )


def _ask(path: Path, pragma: str, seconds: float) -> str | None:
    """Return the first problem, or `ok`; None when the time was too short."""
    end = time.monotonic() + seconds
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=seconds)
    try:
        connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
        row = connection.execute(f"PRAGMA {pragma}(1)").fetchone()
        return str(row[0])
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    finally:
        connection.close()
