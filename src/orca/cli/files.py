"""Files that appear whole or not at all, and never through a link that somebody planted."""

import os
from pathlib import Path

PUBLIC = 0o666
"""Cut down by the umask, as for any file that a program makes."""


def replace_file(path: Path, text: str, *, mode: int = PUBLIC) -> None:
    """Put a new file in the place of whatever is there; a link itself is replaced, not its target. Raises OSError."""
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
