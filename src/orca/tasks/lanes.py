"""Lanes: how many tasks of each kind one process runs at a time, and how teams share them. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

DELIVERIES = "webhook"
"""The lane of messages to receivers elsewhere, which may take their time."""
LANES: Mapping[str, int] = {
    "deploy": 12, "build": 2, "run": 3, "backup": 2, "maintenance": 2, DELIVERIES: 4, "undo": 3,
}  # fmt: skip
"""The number of tasks that one process runs at a time, by lane. ORC_BUILD_CONCURRENCY replaces the one of builds."""
UNDO = "undo"
"""The lane of tasks that are cancelled while they sleep or wait: their undo needs no slot of their own lane."""
ANYTHING = "*"
"""What a worker offers that runs tasks whatever they need."""
INTERACTIVE, PUSHED, PERIODIC = range(3)
"""Priorities: someone waits for it; a push or another event asked for it; a schedule did."""


class Placed(Protocol):
    """A task with a place in a lane."""

    @property
    def lane(self) -> str:
        """The lane of which it has a slot."""
        ...

    @property
    def team_id(self) -> str:
        """The team that it is for."""
        ...


@dataclass(slots=True)
class Opening:
    """The free slots of one lane in this process."""

    lane: str
    room: int
    share: int
    """How many tasks of one team run at a time while other teams wait."""
    running: Counter[str] = field(default_factory=Counter)
    """The number of running tasks by team."""

    def take(self, team_id: str) -> None:
        """Use one of the slots for a task of a team."""
        self.room -= 1
        self.running[team_id] += 1

    def is_within_share(self, team_id: str) -> bool:
        """Whether one more task of a team may run while other teams wait."""
        return self.running[team_id] < self.share

    @property
    def crowded(self) -> list[str]:
        """The teams that have their share."""
        return sorted(team for team, number in self.running.items() if number >= self.share)


def list_openings(limits: Mapping[str, int], running: Iterable[Placed]) -> list[Opening]:
    """Return the lanes that have free slots. A team's share is half of a lane."""
    placed = list(running)
    return [
        Opening(lane, room, (limit + 1) // 2, Counter(other.team_id for other in placed if other.lane == lane))
        for lane, limit in limits.items()
        if (room := limit - sum(other.lane == lane for other in placed)) > 0
    ]
