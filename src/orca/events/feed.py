"""Follows the events of a database: one reader per process, whatever the number of followers."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import structlog
from sqlalchemy import func, select

from orca.db import Database, Reach
from orca.events import Event, notifier

log = structlog.get_logger("orca.events")

POLL_SECONDS = 2.0
"""How long a process goes without a look, for events of another process of which no notice came."""
PAUSE_SECONDS = 0.2
"""The least time between two looks."""
_CHUNK = 200
_KEPT = 1000
"""How many events wait for one slow follower; then it reads the database from where it is."""
_READERS = 4
"""How many new followers read what is stored at a time: a crowd that reconnects leaves connections to others."""
_FEED = "event_feed"


async def follow(db: Database, *, after: int, team_id: str | None, reach: Reach | None = None) -> AsyncIterator[Event]:
    """Facts of a team from `after` on, as they are committed, or of a part of it; of all teams without one."""
    async for event in Feed.of(db).follow(after=after, team_id=team_id, reach=reach):
        yield event


class _Follower:
    """One open stream, and what it has not read yet."""

    def __init__(self, team_id: str | None) -> None:
        self.team_id = team_id
        self.events: deque[Event] = deque()
        self.news = asyncio.Event()
        self.is_behind = False
        """Whether it missed events, because too many waited for it."""

    def put(self, event: Event) -> None:
        if self.team_id not in {None, event.team_id}:
            return
        if len(self.events) >= _KEPT:
            self.events.clear()
            self.is_behind = True
        self.events.append(event)
        self.news.set()


class _Watcher:
    """Wants to know that something happened in a team, not what."""

    def __init__(self, team_id: str, bell: asyncio.Event, *, with_instance: bool) -> None:
        self._teams = {team_id, None} if with_instance else {team_id}
        self._bell = bell

    def put(self, event: Event) -> None:
        if event.team_id in self._teams:
            self.ring()

    def ring(self) -> None:
        self._bell.set()


class Feed:
    """Reads new events once and passes them to all followers of this process."""

    def __init__(self, db: Database, *, poll: float = POLL_SECONDS) -> None:
        self._db = db
        self._poll = poll
        self._followers: set[_Follower | _Watcher] = set()
        self._bell = asyncio.Event()
        self._others: set[asyncio.Event] = set()
        """Bells of those who read by themselves; see `listen`."""
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._turns = asyncio.Semaphore(_READERS)
        self._seq = 0

    @classmethod
    def of(cls, db: Database) -> "Feed":
        """Return the feed of a database in this process."""
        feed: Feed | None = db.session_info.get(_FEED)
        return feed or cls(db).serve()

    def serve(self) -> "Feed":
        """Become the feed of the database in this process."""
        self._db.session_info[_FEED] = self
        return self

    def ring(self) -> None:
        """Look for events of another process now."""
        for bell in (self._bell, *self._others):
            bell.set()

    @contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """Return an event that is set whenever this process or another one has committed events."""
        bell = asyncio.Event()
        self._others.add(bell)
        notifier.attach(bell)
        try:
            yield bell
        finally:
            notifier.detach(bell)
            self._others.discard(bell)

    @contextmanager
    def watch(self, team_id: str, bell: asyncio.Event, *, with_instance: bool = False) -> Iterator[None]:
        """Set `bell` whenever an event of a team was committed; `with_instance`: or one of no team."""
        watcher = _Watcher(team_id, bell, with_instance=with_instance)
        self._join(watcher)
        try:
            yield
        finally:
            self._leave(watcher)

    async def follow(self, *, after: int, team_id: str | None, reach: Reach | None = None) -> AsyncIterator[Event]:
        """See `follow`. First what is stored, then what the reader passes on; `seq` tells what came twice."""
        follower = _Follower(team_id)
        self._join(follower)
        try:
            await self._ready.wait()
            while True:
                follower.is_behind = False
                async for event in self._read_stored(after, team_id, reach):
                    after = event.seq
                    yield event
                while not follower.is_behind:
                    if not follower.events:
                        follower.news.clear()
                        await follower.news.wait()
                    event = follower.events.popleft()
                    if event.seq > after and not follower.is_behind:
                        after = event.seq
                        if reach is None or await self._is_within(event, reach):
                            yield event
        finally:
            self._leave(follower)

    def _join(self, follower: _Follower | _Watcher) -> None:
        self._followers.add(follower)
        if self._reading is None:
            notifier.attach(self._bell)
            self._reading = asyncio.create_task(self._read())

    def _leave(self, follower: _Follower | _Watcher) -> None:
        self._followers.discard(follower)
        if not self._followers and self._reading is not None:
            notifier.detach(self._bell)
            self._reading.cancel()
            self._reading = None
            self._ready.clear()

    async def _read_stored(self, after: int, team_id: str | None, reach: Reach | None) -> AsyncIterator[Event]:
        is_full = True
        while is_full:
            async with self._turns:
                rows = await self._fetch(after, team_id, reach)
            for row in rows:
                after = row.seq
                yield row
            is_full = len(rows) == _CHUNK

    async def _is_within(self, event: Event, reach: Reach) -> bool:
        """Whether an event is about a part of its team."""
        async with self._db.read(event.team_id or "", reach) as session:
            return await session.scalar(select(Event.seq).where(Event.seq == event.seq)) is not None

    async def _fetch(self, after: int, team_id: str | None, reach: Reach | None = None) -> Sequence[Event]:
        query = select(Event).where(Event.seq > after).order_by(Event.seq).limit(_CHUNK)
        async with self._db.read(None if reach is None else team_id, reach) as session:
            return (await session.scalars(query if team_id is None else query.where(Event.team_id == team_id))).all()

    async def _read(self) -> None:
        """Pass on what is new whenever the bell rings, and at intervals."""
        clock = asyncio.get_running_loop().time
        while True:
            self._bell.clear()
            began = clock()
            try:
                await self._pass_on()
            except Exception as error:  # noqa: BLE001 - the database may be away: the followers wait for it
                log.warning("events_not_read", reason=str(error))
            try:
                async with asyncio.timeout(self._poll):
                    await self._bell.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(max(0.0, began + PAUSE_SECONDS - clock()))

    async def _pass_on(self) -> None:
        if not self._ready.is_set():
            async with self._db.read() as session:
                self._seq = await session.scalar(select(func.max(Event.seq))) or 0
            self._ready.set()
            for watcher in self._followers:
                if isinstance(watcher, _Watcher):
                    watcher.ring()  # what was committed since it began to watch is not passed on
            return
        is_full = True
        while is_full:
            rows = await self._fetch(self._seq, None)
            if rows:
                notifier.announced_at = max(notifier.announced_at, time.monotonic() - PAUSE_SECONDS)
            for event in rows:
                self._seq = event.seq
                for follower in self._followers:
                    follower.put(event)
            is_full = len(rows) == _CHUNK
