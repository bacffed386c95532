"""Writes files atomically, and never through a link that was planted there; and reads untrusted files, which may be
links to devices and pipes.
"""

import errno
import os
import stat
from pathlib import Path

PUBLIC = 0o666
"""Reduced by the umask, as for any new file."""

READ_LIMIT = 1 << 20


def read_plain(path: Path) -> bytes:
    """Read a small file, also through a link. Raises OSError, also for devices and pipes, which might never end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(READ_LIMIT + 1)
    finally:
        os.close(handle)
    if len(content) > READ_LIMIT:
        raise OSError(errno.EFBIG, f"it is larger than {READ_LIMIT >> 20} MiB")
    return content


def replace_file(path: Path, text: str, *, mode: int = PUBLIC) -> None:
    """Replace whatever is at the path by a new file; a link itself is replaced, not its target. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
