"""What is decided about terminals without looking at anything. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

Reason = Literal[
    "exited", "closed", "disconnected", "idle", "too-long", "access-ended", "server-stopped", "replica-gone", "lost"
]
"""Why a terminal ended. `exited`: its command did; `lost`: the process of Orca that had it died."""

EXPLANATIONS: Final[dict[Reason, str]] = {
    "exited": "The command ended.",
    "closed": "The terminal was closed.",
    "disconnected": "The connection was lost.",
    "idle": "Nothing was typed or shown for too long.",
    "too-long": "The terminal was open for as long as one may be.",
    "access-ended": "You no longer may open a terminal here, or your session ended.",
    "server-stopped": "Orca is stopping or restarting.",
    "replica-gone": "The container ended, or its machine cannot be reached.",
    "lost": "Orca was interrupted.",
}

IDLE_SECONDS: Final = 30 * 60.0
LONGEST_SECONDS: Final = 12 * 3600.0
KEEP_SECONDS: Final = 60.0
"""How long a terminal of the panel waits for its page, which a navigation replaces."""
RECHECK_SECONDS: Final = 3.0
MOST_OF_USER: Final = 10
MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of an open terminal at one instant: ages in seconds."""

    age: float
    idle: float
    alone: float | None
    """Since when no socket shows it; None while one does."""


def find_end(moment: Moment, *, keeps: bool) -> Reason | None:
    """Return why a terminal has to end now, if it has to. `keeps`: it outlives a lost connection for a while."""
    if moment.alone is not None and moment.alone >= (KEEP_SECONDS if keeps else 0):
        return "disconnected"
    if moment.age >= LONGEST_SECONDS:
        return "too-long"
    return "idle" if moment.idle >= IDLE_SECONDS else None
