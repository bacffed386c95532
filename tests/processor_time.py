"""How much a piece of work costs, for tests of how that cost grows with its input."""

import gc
import time
from collections.abc import Callable

TRIES = 3


def processor_seconds(work: Callable[[], object], enough: float = 0.0) -> float:
    """Return the least that `work` took of this thread's processor time, of three tries, or of fewer once it is below `enough`.

    The least, because what else runs on a core takes its caches; without the garbage collector, because a round of it costs
    what all earlier tests of this process have left in memory.
    """
    best = float("inf")
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(TRIES):
            begun = time.thread_time()
            work()
            best = min(best, time.thread_time() - begun)
            if best < enough:
                break
    finally:
        if collecting:
            gc.enable()
    return best
