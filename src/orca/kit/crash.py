"""Named crash points: the fault harness kills the process at each of them in turn."""

import os
import signal

VARIABLE = "ORC_CRASH_AT"
_chosen = os.environ.get(VARIABLE, "")


def crash_point(name: str) -> None:
    """Kill this process, as by a power failure, if the harness chose this point; else do nothing."""
    if name == _chosen:
        os.kill(os.getpid(), signal.SIGKILL)
