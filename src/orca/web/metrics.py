"""Metrics for Prometheus: measured on request, cached for seconds, each kind with its own deadline."""

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from orca import __version__
from orca.db import DATABASE_AWAY, Database
from orca.errors import OrcaError
from orca.events.consumers import Consumer, measure_lag
from orca.resources import Resources
from orca.systems import LOCAL
from orca.tasks.queries import list_kinds

log = structlog.get_logger("orca.web")
_LOOK_SECONDS = 2.5
"""Deadline of a measurement, after which it is left out: by default a scrape times out after ten seconds."""
Look = Callable[[Resources], Awaitable[Sequence[Metric]]]


@dataclass(frozen=True, slots=True)
class Measure:
    """One kind of metrics, and how long they are cached."""

    name: str
    look: Look
    fresh_seconds: float = 5.0


def number(name: str, about: str, value: float) -> Metric:
    """Return a gauge without labels."""
    return GaugeMetricFamily(name, about, value=value)


def gauge(name: str, about: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    """Return a gauge with one value per label value, or per tuple of values of several labels."""
    return _fill(GaugeMetricFamily(name, about, labels=labels), values)


def counter(name: str, about: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    """Return a counter with labels, like `gauge`; `name` is written without `_total`."""
    return _fill(CounterMetricFamily(name, about, labels=labels), values)


def _fill(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[Any, float]) -> Metric:
    for labels, value in values.items():
        family.add_metric((labels,) if isinstance(labels, str) else labels, value)
    return family


class Measurements:
    """The measures of one process. Concurrent requests share one measurement."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self._kept = [_Kept(measure) for measure in measures]

    async def render(self, resources: Resources, counted: CollectorRegistry) -> bytes:
        """Render the text exposition: the counters of this process, and the current measurements."""
        found = await asyncio.gather(*(kept.read(resources) for kept in self._kept))
        names = [kept.measure.name for kept in self._kept]
        answered = {name: answer is not None for name, answer in zip(names, found, strict=True)}
        about = "Whether these numbers could be measured; those of a measure that failed are left out."
        families = [gauge("orc_measure_success", about, ["measure"], answered)]
        families += [family for group in found for family in group or ()]
        return generate_latest(_Together(counted, families))


class _Kept:
    """A measure and its last result."""

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self._looking: asyncio.Task[Sequence[Metric] | None] | None = None
        self._at = 0.0

    async def read(self, resources: Resources) -> Sequence[Metric] | None:
        """Return the numbers, or None when they could not be measured in time."""
        is_old = time.monotonic() - self._at > self.measure.fresh_seconds
        if self._looking is None or (self._looking.done() and is_old):
            self._looking = asyncio.create_task(self._look(resources))
        return await asyncio.shield(self._looking)

    async def _look(self, resources: Resources) -> Sequence[Metric] | None:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return await self.measure.look(resources)
        except (OrcaError, TimeoutError, *DATABASE_AWAY) as error:
            log.warning("measure_failed", measure=self.measure.name, reason=str(error) or type(error).__name__)
            return None
        finally:
            self._at = time.monotonic()


class _Together(CollectorRegistry):
    """A collector of the counters and of the metric families measured for this response."""

    def __init__(self, counted: CollectorRegistry, families: Sequence[Metric]) -> None:
        super().__init__()
        self._counted, self._families = counted, families

    def collect(self) -> Iterator[Metric]:
        """Yield all families; implements `CollectorRegistry.collect`."""
        yield from self._counted.collect()
        yield from self._families


async def measure_instance(resources: Resources) -> Sequence[Metric]:
    """Measure the instance: its version and its disk."""
    database = "sqlite" if resources.db.is_sqlite else "postgresql"
    disk = await resources.systems.measure_disk(LOCAL, str(resources.settings.data_dir))
    build = {(__version__, platform.python_version(), database): 1}
    return [
        gauge("orc_build_info", "The version that runs; always 1.", ["version", "python", "database"], build),
        number("orc_data_disk_size_bytes", "Size of the disk of the data directory.", disk.total if disk else 0),
        number("orc_data_disk_free_bytes", "Bytes free there.", disk.free if disk else 0),
    ]


async def measure_database(resources: Resources) -> Sequence[Metric]:
    """Measure whether the database answers, its size, and how many of its connections this process uses."""
    used, most = {}, {}
    for pool_name, pool in _pools(resources.db).items():
        used[pool_name, "busy"], used[pool_name, "idle"] = pool.checkedout(), pool.checkedin()
        most[pool_name] = pool.size() + max(pool._max_overflow, 0)  # noqa: SLF001 - it has no word for it
    size = await _find_size(resources.db)
    families = [
        number("orc_database_up", "Whether the database answers.", size is not None),
        gauge("orc_database_connections", "Open connections of this process.", ["pool", "state"], used),
        gauge("orc_database_connections_limit", "Connections that it may open.", ["pool"], most),
    ]
    if size is not None:
        families.append(number("orc_database_size_bytes", "Size of the database.", size))
    return families


def _pools(db: Database) -> dict[str, QueuePool]:
    engines = {"write": db.engine, "read": db.reader} if db.is_sqlite else {"shared": db.engine}
    pools = {name: engine.pool for name, engine in engines.items()}
    return {name: pool for name, pool in pools.items() if isinstance(pool, QueuePool)}


async def _find_size(db: Database) -> int | None:
    """Return the size in bytes; None when the database does not answer."""
    pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    asked = pages if db.is_sqlite else "SELECT pg_database_size(current_database())"
    try:
        async with asyncio.timeout(_LOOK_SECONDS * 0.8), db.read() as session:
            return int(await session.scalar(text(asked)) or 0)
    except (TimeoutError, *DATABASE_AWAY):
        return None


def measure_tasks(kinds: Collection[str]) -> Look:
    """Return a measure of unfinished tasks, with zeros for the known kinds that have none."""

    async def look(resources: Resources) -> Sequence[Metric]:
        async with resources.db.read() as session:
            found = await list_kinds(session)
        numbers = {(kind, state): 0 for kind in sorted(kinds) for state in ("queued", "running")}
        ages = dict.fromkeys(sorted(kinds), 0.0)
        for kind in found:
            numbers[kind.name, "queued"], numbers[kind.name, "running"] = kind.queued, kind.running
            ages[kind.name] = max(kind.queue_age.total_seconds(), 0.0)
        return [
            number("orc_tasks_active", "Tasks that wait or run.", sum(numbers.values())),
            gauge("orc_tasks", "Tasks that have not ended.", ["kind", "state"], numbers),
            gauge("orc_task_queue_age_seconds", "How long the oldest queued task has waited.", ["kind"], ages),
        ]

    return look


def measure_consumers(consumers: Sequence[Consumer]) -> Look:
    """Return a measure of the events that durable consumers have not handled yet."""

    async def look(resources: Resources) -> Sequence[Metric]:
        async with resources.db.read() as session:
            lag = {name: lag.number for name, lag in (await measure_lag(session, consumers)).items()}
        return [gauge("orc_event_consumer_lag", "Events that a consumer has not handled yet.", ["consumer"], lag)]

    return look
