"""What happened since the process began, counted for Prometheus from the trail, whichever process wrote it."""

from collections import Counter
from collections.abc import Sequence

from prometheus_client import Metric
from sqlalchemy import func, select

from orca.events import Event
from orca.features.audit.queries import find_last_seq
from orca.resources import Resources
from orca.web.metrics import Measure, counter

_AT_ONCE = 20_000
"""So many events are counted with one look; what is left waits for the next one."""


class EventCounts:
    """Counts on from the last event that was counted."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[str, str]] = Counter()
        self._seq: int | None = None

    async def look(self, resources: Resources) -> Sequence[Metric]:
        """Events by type and outcome; both are closed sets."""
        async with resources.db.read() as session:
            last = await find_last_seq(session)
            since = last if self._seq is None else self._seq
            until = min(last, since + _AT_ONCE)
            query = select(Event.type, Event.outcome, func.count()).where(Event.seq > since, Event.seq <= until)
            rows = (await session.execute(query.group_by(Event.type, Event.outcome))).all()
        self._seq = until
        self._counted.update({(event_type, outcome): number for event_type, outcome, number in rows})
        about = "Events recorded since the first look of this process, by any process."
        return [counter("orc_events", about, ["type", "outcome"], dict(sorted(self._counted.items())))]


def make_measures() -> tuple[Measure, ...]:
    """The measures of this feature, with nothing counted yet."""
    return (Measure("events", EventCounts().look),)
