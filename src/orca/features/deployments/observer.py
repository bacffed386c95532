"""What runs on the engines, as open pages see it: one survey for all of them, and a bell when something changed."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from orca.errors import OrcaError
from orca.events import notifier
from orca.resources import Resources
from orca.sdk.workloads import Replica
from orca.systems import LOCAL
from orca.web.live import Sources

log = structlog.get_logger("orca.deployments")
LOOK_SECONDS = 2.0
"""How often the engines are asked while a page is open. What happens to a container by itself is shown this late."""
OUTDATED_SECONDS = 10.0
"""After which a survey is not shown any more, not even until the next one."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The replicas by service, and why an engine could not be asked."""

    replicas: Mapping[str, Sequence[Replica]]
    problem: str


async def survey(resources: Resources) -> Survey:
    """Ask all engines now."""
    labels = {"orca.instance": resources.instance, "orca.service": ""}
    seen, failed = await resources.systems.try_each(partial(resources.systems.survey, labels=labels))
    found: dict[str, list[Replica]] = defaultdict(list)
    for replicas in seen.values():
        for replica in replicas:
            found[replica.labels["orca.service"]].append(replica)
    return Survey(found, next((error.message for error in failed.values()), ""))


@dataclass
class _Watch:
    """What this process saw last, and who is told of changes."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    bells: set[asyncio.Event] = field(default_factory=set)
    looking: asyncio.Task[None] | None = None
    last: Survey | None = None
    began: float = 0.0

    def is_fresh(self) -> bool:
        """Whether the last survey is young, and began after all that this process knows to have happened."""
        return time.monotonic() - self.began < LOOK_SECONDS and self.began > notifier.announced_at


async def survey_recently(resources: Resources) -> Survey:
    """Return a survey that is at most `LOOK_SECONDS` old and younger than the last event; callers share one."""
    watch = resources.systems.state(LOCAL, _Watch)
    async with watch.turn:
        if watch.last is None or not watch.is_fresh():
            await _look(resources, watch)
        assert watch.last is not None  # noqa: S101 - it was just read
        return watch.last


def last_survey(resources: Resources) -> Survey | None:
    """Return the last survey while it says more than none: for what cannot wait for the engines."""
    watch = resources.systems.state(LOCAL, _Watch)
    return watch.last if time.monotonic() - watch.began < OUTDATED_SECONDS else None


@contextmanager
def watch_engines(resources: Resources, bell: asyncio.Event) -> Iterator[None]:
    """Set `bell` whenever a replica was found to have changed, by itself or by a deployment."""
    watch = resources.systems.state(LOCAL, _Watch)
    watch.bells.add(bell)
    if watch.looking is None or watch.looking.done():
        watch.looking = asyncio.create_task(_keep_looking(resources, watch))
    try:
        yield
    finally:
        watch.bells.discard(bell)
        if not watch.bells and watch.looking is not None:
            watch.looking.cancel()
            watch.looking = None


def watching(resources: Resources) -> Sources:
    """Return what pages of services listen to: events of the team, and what containers do by themselves."""
    return Sources(others=[partial(watch_engines, resources)])


async def _keep_looking(resources: Resources, watch: _Watch) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            with suppress(OrcaError):
                async with watch.turn:
                    await _look(resources, watch)
        except Exception:
            log.exception("survey_crashed")


async def _look(resources: Resources, watch: _Watch) -> None:
    began = time.monotonic()
    found = await survey(resources)
    has_changed = watch.last is not None and found != watch.last
    watch.last, watch.began = found, began
    if has_changed:
        for bell in watch.bells:
            bell.set()
