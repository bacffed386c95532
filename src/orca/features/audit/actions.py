"""The one write of the audit trail that is no event: the next signed checkpoint, in a file outside the database."""

import fcntl
import os
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from orca.features.audit.rules import (
    Checkpoint,
    Sign,
    next_checkpoint,
    read_checkpoints,
    render_checkpoint,
    whole_lines,
)

_TAIL = 4096
"""Bytes that surely hold the last line."""


def find_last_checkpoint(path: Path) -> Checkpoint | None:
    """The newest one; None when there is none yet. Blocks."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        return _last_of(_read_tail(file))


def append_checkpoint(path: Path, sign: Sign, seq: int, event_hash: str, at: datetime) -> None:
    """Add a checkpoint and force it to disk; what a crash left half-written is cut off first. Blocks."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        tail = _read_tail(file)
        last = _last_of(tail)
        if last is not None and last.seq >= seq:
            return
        file.seek(len(whole_lines(tail)) - len(tail), os.SEEK_END)
        file.truncate()
        file.write(render_checkpoint(next_checkpoint(sign, last, seq, event_hash, at)).encode())
        file.flush()
        os.fsync(file.fileno())


def _read_tail(file: BinaryIO) -> str:
    """In a one-byte encoding: the lines are ASCII, and lengths must be those of the file."""
    file.seek(-min(_TAIL, file.seek(0, os.SEEK_END)), os.SEEK_END)
    return file.read().decode("latin-1")


def _last_of(tail: str) -> Checkpoint | None:
    found = read_checkpoints(tail)
    return found[-1] if found else None
