"""Named crash points: the fault harness kills the process at each of them, one after the other."""

import os
import signal

VARIABLE = "ORC_CRASH_AT"
_chosen = os.environ.get(VARIABLE, "")


def crash_point(name: str) -> None:
    """Die here, as if the power went out, when the harness chose this point; else do nothing."""
    if name == _chosen:
        os.kill(os.getpid(), signal.SIGKILL)
