"""Numbers for what tests share with all others on this machine: names of interfaces, ranges of addresses."""

import fcntl
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claimed_number(purpose: str, below: int) -> Iterator[int]:
    """A number that no other test has for this purpose meanwhile, also of other runs: the lock ends with the process."""
    for number in random.sample(range(below), below):
        with Path(tempfile.gettempdir(), f"orca-{purpose}-{number}").open("w") as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    raise AssertionError(f"all {below} numbers for {purpose} are taken")
