"""Waiting for processes that scripts/up started."""

import time
from collections.abc import Callable
from pathlib import Path


def is_running(pid: int, name: str) -> bool:
    """Whether a process has that id, and still is what it was: ids are given anew."""
    try:
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until it is true, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False
