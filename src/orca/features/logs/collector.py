"""Follows every replica of every system from where it was read to, and stores its lines. One per data directory."""

import asyncio
import fcntl
import os
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import structlog
from sqlalchemy import select

from orca.errors import OrcaError
from orca.events.feed import Feed
from orca.features.deployments.output import list_hidden, to_microseconds
from orca.features.deployments.queries import find_release
from orca.features.logs.rules import Line, Writer
from orca.features.logs.store import LogStore
from orca.features.logs.timeline import Timeline
from orca.features.services.models import Service
from orca.kit.text import clean_output, redact
from orca.resources import Resources
from orca.sdk.engines import Engine
from orca.sdk.workloads import LogLine, Replica
from orca.web.guard import Scope

log = structlog.get_logger("orca.logs")

LOOK_SECONDS = 3.0
_PAUSE_SECONDS = 0.5
"""The least time between two looks, however many events there are."""
SEARCHES = 4
"""Searches that run at a time, each of another user."""
_READERS = SEARCHES + 4
"""Threads that read lines: there are always some left for pages without a filter, which take a moment."""
FLUSH_SECONDS = 300.0
"""So long lines may be in memory and in the engine's log only."""
_MOST_DRAFTS = 16 << 20
"""When the drafts of all services take more, they are written."""
_REREAD_SECONDS = 600.0
"""How often the log of a stopped replica is looked at again: it may have run for a moment."""
_PATIENCE_SECONDS = 10.0
_LAST_WORDS_SECONDS, _END_SECONDS = 20.0, 3.0
_MOST_TEXT = 32 << 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Key = tuple[str, str]
"""System and replica."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is known of a replica whose lines are collected."""

    replica: Replica
    service_id: str
    writer: Writer
    hidden: tuple[str, ...]


class Collecting:
    """What this process knows of the collecting, for its readers."""

    def __init__(self) -> None:
        self.collector: Collector | None = None
        self.patient_until = 0.0
        """Until when a removal waits for the collector, which begins, or which another process still has."""
        self.has_begun = asyncio.Event()
        self.readers = ThreadPoolExecutor(_READERS, "log-reads")
        self._searches = asyncio.Semaphore(SEARCHES)
        self._searchers: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def wait_for_collector(self) -> "Collector | None":
        """Return the collector; None when this process has none, and will not have one soon."""
        if self.collector is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self.patient_until - time.monotonic())):
                    await self.has_begun.wait()
        return self.collector

    @asynccontextmanager
    async def search_of(self, user: str) -> AsyncIterator[None]:
        """Wait until a user may search: each has one search at a time."""
        lock = self._searchers.setdefault(user, asyncio.Lock())
        async with lock, self._searches:
            yield

    @classmethod
    def of(cls, resources: Resources) -> "Collecting":
        """Return that of these resources."""
        return resources.systems.state("", cls)


class Collector:
    """Reads logs while this process owns the folder."""

    def __init__(self, resources: Resources, every: float) -> None:
        self._resources = resources
        self._every = every
        self.folder = folder_of(resources)
        self.timelines: dict[str, Timeline] = {}
        self.problems: dict[str, str] = {}
        """System -> why its engine cannot be read."""
        self._unread: dict[_Key, str] = {}
        """Replica -> why it could not be read the last time."""
        self.shortage = ""
        """Why old lines of all services are deleted; empty while there is room."""
        self._followers: dict[_Key, asyncio.Task[None]] = {}
        self._services: dict[_Key, str] = {}
        """The service of each replica that is followed."""
        self._masks: dict[str, bool] = {}
        """Service -> whether its secrets were hidden at the last look: what is followed was begun with that."""
        self._ended: dict[_Key, float] = {}
        """Replica that did not run when it was read to its end -> when that was."""
        self._turns: defaultdict[_Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._uses: Counter[str] = Counter()
        self._opening = asyncio.Lock()

    async def run(self) -> None:
        """Look for replicas until this is cancelled; then write what is in memory."""
        try:
            with Feed.of(self._resources.db).listen() as bell:
                while True:
                    bell.clear()
                    await self._look()
                    await self._write_drafts()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._every):
                            await bell.wait()
                            await asyncio.sleep(min(_PAUSE_SECONDS, self._every))
        finally:
            await self._close()

    def find_unread(self, service_id: str) -> str:
        """Say why a replica of a service could not be read the last time; empty when all are read."""
        return next((reason for key, reason in self._unread.items() if self._services[key] == service_id), "")

    async def finish(self, system_id: str, replica: Replica) -> None:
        """Read a replica to its end and put that on disk, before it is removed."""
        key = (system_id, replica.id)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                follower = self._followers.get(key)
                if follower is not None:
                    await asyncio.wait({follower}, timeout=_END_SECONDS if replica.state == "running" else 0.5)
                    follower.cancel()
                    await asyncio.wait({follower})
                await self._collect(system_id, replica, follows=False)
                if timeline := self.timelines.get(replica.labels.get("orca.service", "")):
                    await timeline.flush(sync=True)

    async def _look(self) -> None:
        """Begin to follow the replicas that are not followed."""
        systems = self._resources.systems
        labels = {"orca.instance": self._resources.instance, "orca.service": ""}
        found, failed = await systems.try_each(partial(systems.survey, labels=labels))
        self.problems = {system_id: error.message for system_id, error in failed.items()}
        await self._end_outdated()
        present: set[_Key] = set()
        for system_id, replicas in found.items():
            for replica in replicas:
                key = (system_id, replica.id)
                present.add(key)
                if key in self._followers and not self._followers[key].done():
                    self._unread.pop(key, None)  # it has been read since the last look
                if self._is_due(key, replica):
                    self._services[key] = replica.labels["orca.service"]
                    self._followers[key] = asyncio.create_task(self._follow(system_id, replica))
        for key in [key for key in self._ended if key[0] in found and key not in present]:
            del self._ended[key]
        for key in [key for key, follower in self._followers.items() if follower.done() and key not in present]:
            del self._followers[key], self._services[key]
            self._unread.pop(key, None)
            self._turns.pop(key, None)

    async def _end_outdated(self) -> None:
        """End the followers of services that hide their secrets since the last look, or show them."""
        async with self._resources.db.read() as session:
            rows = await session.execute(select(Service.id, Service.masks_secrets).where(Service.deleted_at.is_(None)))
            masks = {row.id: row.masks_secrets for row in rows}
        changed = {id_ for id_, is_on in masks.items() if self._masks.get(id_, is_on) != is_on}
        self._masks = masks
        outdated = [self._followers[key] for key, service_id in self._services.items() if service_id in changed]
        for follower in outdated:
            follower.cancel()
        await asyncio.gather(*outdated, return_exceptions=True)

    def _is_due(self, key: _Key, replica: Replica) -> bool:
        if replica.index is None or (key in self._followers and not self._followers[key].done()):
            return False
        is_on = replica.state in {"running", "restarting", "paused"}
        return is_on or time.monotonic() - self._ended.get(key, -_REREAD_SECONDS) >= _REREAD_SECONDS

    async def _follow(self, system_id: str, replica: Replica) -> None:
        try:
            with self._resources.systems.hold(system_id):
                await self._collect(system_id, replica, follows=True)
        except OrcaError as error:  # it is tried again at the next look
            self._unread[system_id, replica.id] = error.message
            log.debug("log_not_read", replica=replica.name, reason=error.message)
        except Exception:
            self._unread[system_id, replica.id] = "The log of Orca says why."
            log.exception("log_not_read", replica=replica.name)
        else:
            if replica.state not in {"running", "restarting", "paused"}:
                self._ended[system_id, replica.id] = time.monotonic()

    async def _collect(self, system_id: str, replica: Replica, *, follows: bool) -> None:
        async with self._turns[system_id, replica.id]:
            subject = await self._describe(replica)
            if subject is None:
                return
            engine = await self._resources.systems.engine(system_id)
            async with self.use(subject.service_id) as timeline:
                start = timeline.positions.get(subject.writer.id)
                async for line, position in _read(engine, replica, start, follows=follows):
                    text = redact(clean_output(line.text), subject.hidden)[:_MOST_TEXT]
                    await timeline.put(Line(position[0], subject.writer, line.stream == "stderr", text), position)

    async def _describe(self, replica: Replica) -> _Subject | None:
        """Return what is known of a replica; None when this database does not know its service."""
        service_id = replica.labels["orca.service"]
        async with self._resources.db.read() as session:
            service = await session.get(Service, service_id)
            release = await find_release(session, replica.labels.get("orca.release"))
        if service is None:
            return None
        hidden = await list_hidden(self._resources, Scope(service.team_id), service_id, [replica])
        writer = Writer(replica.id[:16], replica.index or 0, release.number if release else 0)
        return _Subject(replica, service_id, writer, hidden)

    @asynccontextmanager
    async def use(self, service_id: str) -> AsyncIterator[Timeline]:
        """Open the timeline of a service for writing; it stays open as long as it is used."""
        self._uses[service_id] += 1
        try:
            async with self._opening:
                if service_id not in self.timelines:
                    store = await asyncio.to_thread(LogStore, self.folder / service_id, writes=True)
                    self.timelines[service_id] = Timeline(store)
            yield self.timelines[service_id]
        finally:
            self._uses[service_id] -= 1

    async def _write_drafts(self) -> None:
        """Write drafts that are old, and all of them when they take too much memory."""
        drafts = {id_: line.store.draft_size for id_, line in self.timelines.items()}
        is_much = sum(drafts.values()) > _MOST_DRAFTS
        for service_id, size in drafts.items():
            timeline = self.timelines[service_id]
            is_old = time.monotonic() - timeline.store.written_at > FLUSH_SECONDS
            if size and (is_old or is_much) and not timeline.problem:
                with suppress(OSError):  # the timeline says so itself, at its next line
                    await timeline.flush()
            elif not size and not self._uses[service_id]:
                async with self._opening:
                    if not self._uses[service_id]:
                        await self.timelines.pop(service_id).close()

    async def _close(self) -> None:
        for follower in self._followers.values():
            follower.cancel()
        await asyncio.gather(*self._followers.values(), return_exceptions=True)
        await asyncio.gather(*(timeline.close() for timeline in self.timelines.values()))
        self.timelines.clear()


async def _read(
    engine: Engine, replica: Replica, start: tuple[int, int] | None, *, follows: bool
) -> AsyncIterator[tuple[LogLine, tuple[int, int]]]:
    """Yield the lines behind a position, each with its own.

    A resumed read repeats the whole last microsecond: as many of its lines as are known are left out.
    """
    moment, same = start or (-1, 0)
    known = same
    since = _EPOCH + timedelta(microseconds=moment) if start else None
    async for line in engine.logs(replica, tail=None, follow=follows, since=since):
        at = to_microseconds(line.at or datetime.now(UTC))
        if known and at == moment:
            known -= 1
            continue
        known = 0
        moment, same = at, same + 1 if at == moment else 1
        yield line, (moment, same)


def folder_of(resources: Resources) -> Path:
    """Return the folder of all timelines."""
    return resources.settings.data_dir / "logs"


async def collect(resources: Resources, *, every: float = LOOK_SECONDS) -> None:
    """Collect logs for as long as this process owns the folder; another process of the same folder waits for it."""
    if not resources.settings.logs.stored:
        return
    collecting = Collecting.of(resources)
    collecting.patient_until = time.monotonic() + _PATIENCE_SECONDS
    folder = folder_of(resources)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while not _lock(descriptor):  # noqa: ASYNC110 - another process holds it
            await asyncio.sleep(every)
        collecting.collector = collector = Collector(resources, every)
        collecting.has_begun.set()
        try:
            await collector.run()
        finally:
            collecting.has_begun.clear()
            collecting.collector = None
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


async def keep_last_words(resources: Resources, system_id: str, replica: Replica) -> None:
    """Store the last lines of a replica that is about to be removed; a failure does not stop the removal."""
    if not replica.labels.get("orca.service") or replica.index is None:
        return
    collector = await Collecting.of(resources).wait_for_collector()
    if collector is None:
        return
    try:
        await collector.finish(system_id, replica)
    except (OrcaError, OSError) as error:
        log.warning("last_words_not_kept", replica=replica.name, reason=str(error))
