"""Makes sure that the data directory is private and belongs to the user who runs Orca."""

import os
import stat
from pathlib import Path

import structlog

from orca.errors import StartRefused

log = structlog.get_logger("orca.startup")
_PRIVATE = (
    "secret.key", "orc.db", "orc.db-wal", "orc.db-shm", "claim-token", "audit-checkpoints", "up-settings.json",
    "serve.log", "dockerd.log",
)  # fmt: skip


def prepare_data_dir(data_dir: Path) -> None:
    """Create the directory, or make it private. Raises StartRefused for one that belongs to another user."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (data_dir, *(data_dir / name for name in _PRIVATE)):
        try:
            found = path.stat() if path == data_dir else path.lstat()
        except FileNotFoundError:
            continue
        if found.st_uid != os.geteuid():
            raise StartRefused(
                f"{path} belongs to the user {found.st_uid}, and Orca runs as {os.geteuid()}",
                hint="Run Orca as the owner of its data directory, or give it that directory with `chown -R`.",
            )
        if stat.S_ISLNK(found.st_mode) and path != data_dir:
            raise StartRefused(f"{path} is a link", hint="Put the file itself into the data directory.")
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077 and not stat.S_ISLNK(found.st_mode):
            log.warning("mode_tightened", path=str(path), mode=f"{mode:04o}")
            path.chmod(mode & 0o700)
