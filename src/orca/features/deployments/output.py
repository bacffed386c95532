"""The output of a service's replicas, merged into one stream of bounded memory that can be resumed at any line."""

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Self
from zlib import crc32

from orca.errors import OrcaError
from orca.features.deployments.actions.resolve_release import VARIABLES
from orca.features.secrets.queries import open_secrets_of
from orca.features.services.models import Service
from orca.kit.clock import format_instant
from orca.kit.text import clean_output, redact, redactions
from orca.resources import Resources
from orca.sdk.engines import Engine
from orca.sdk.workloads import LogLine, Replica
from orca.web.guard import Scope

QUEUE_LINES = 2000
_ID_LIMIT = 4000
_POSITION = re.compile(r"([0-9a-f]{12})\.([0-9]{1,17})\.([0-9]{1,9})\.([0-9]{1,10})")
Position = tuple[int, int, int]
"""The microsecond of the last line read, how often its text occurred in that microsecond, and the text's checksum."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OutputLine:
    """One line of one replica. `at` is ISO 8601, where the engine knows it."""

    replica: int
    stream: str
    text: str
    at: str | None


async def list_hidden(
    resources: Resources, scope: Scope, service_id: str, replicas: Sequence[Replica]
) -> tuple[str, ...]:
    """List the values of secret variables of these containers, longest first; none if the service shows them."""
    releases = {replica.labels.get("orca.release", "") for replica in replicas}
    return await list_hidden_of(resources, scope, service_id, releases)


async def list_hidden_of(
    resources: Resources, scope: Scope, service_id: str, releases: Collection[str]
) -> tuple[str, ...]:
    """List the values of secret variables of these releases, as `list_hidden` does."""
    async with resources.db.read(scope.team_id, scope.reach) as session:
        service = await session.get(Service, service_id)
        if service is None or not service.masks_secrets:
            return ()
        sealed = await open_secrets_of(session, resources.secret_box, "release", releases, VARIABLES)
    values = {value for variables in sealed.values() for value in json.loads(variables).values()}
    return tuple(sorted(redactions(values), key=len, reverse=True))


@dataclass
class Positions:
    """How far each replica was read.

    The client of the stream stores it as the id of its last event: the engine's own timestamps identify every line.
    """

    begun: int
    """When the stream was first opened, in microseconds: replicas started later are read from their first line."""
    read: dict[str, Position] = field(default_factory=dict)
    _same: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """The lines of each replica's current microsecond: an engine may write many lines in one."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse the id of an event; None when it is not one."""
        begun, *rest = text[:_ID_LIMIT].split("_")
        matches = [_POSITION.fullmatch(line) for line in rest]
        if not re.fullmatch(r"[0-9]{1,17}", begun) or not all(matches):
            return None
        found = {match[1]: (int(match[2]), int(match[3]), int(match[4])) for match in matches if match}
        return cls(int(begun), found)

    def __str__(self) -> str:
        return "_".join(
            [str(self.begun), *(f"{name}.{'.'.join(map(str, position))}" for name, position in self.read.items())]
        )

    def advance(self, replica: Replica, line: LogLine) -> None:
        """Record that one more line was read."""
        if line.at is None:
            return
        name, moment, text = _short(replica), to_microseconds(line.at), _sum(line)
        if moment != self.read.get(name, (0, 0, 0))[0]:
            self._same[name].clear()
        self._same[name][text] += 1
        self.read[name] = (moment, self._same[name][text], text)


def to_microseconds(at: datetime) -> int:
    """Return the microseconds since 1970, without rounding."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def start_here(replicas: Sequence[Replica], at: datetime) -> Positions:
    """Return the positions after everything that was written before `at`."""
    moment = to_microseconds(at)
    return Positions(moment, {_short(replica): (moment, 0, 0) for replica in replicas})


@dataclass(frozen=True, slots=True)
class OutputRange:
    """Which part of the output is requested."""

    tail: int
    follow: bool
    since: datetime | None = None
    after: Positions | None = None
    """Where an earlier stream was interrupted."""
    hidden: tuple[str, ...] = ()
    """Texts that are redacted in every line."""


async def follow_output(
    engine: Engine, replicas: Sequence[Replica], wanted: OutputRange
) -> AsyncIterator[tuple[OutputLine, str]]:
    """Yield lines as they arrive, each with its id; a slow reader slows down the sources instead of filling memory."""
    lines: asyncio.Queue[tuple[Replica, LogLine, bool] | None] = asyncio.Queue(QUEUE_LINES)
    positions = wanted.after or Positions(to_microseconds(datetime.now(UTC)))
    before = dict(positions.read)

    async def pump(replica: Replica) -> None:
        with suppress(OrcaError):
            async for line, is_new in _read(engine, replica, wanted, before):
                await lines.put((replica, line, is_new))
        await lines.put(None)

    pumps = [asyncio.create_task(pump(replica)) for replica in replicas]
    try:
        open_pumps = len(pumps)
        while open_pumps:
            found = await lines.get()
            if found is None:
                open_pumps -= 1
                continue
            replica, line, is_new = found
            positions.advance(replica, line)
            if is_new:
                yield _draw(replica, line), str(positions)
    finally:
        for running in pumps:
            running.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _read(
    engine: Engine, replica: Replica, wanted: OutputRange, before: Mapping[str, Position]
) -> AsyncIterator[tuple[LogLine, bool]]:
    """Yield the lines of one replica, and whether each is new: a resumed read repeats the whole last microsecond."""
    known = before.get(_short(replica))
    if known is None:
        is_young = wanted.after is not None and _started(replica) >= wanted.after.begun
        tail = None if is_young else wanted.tail
        async for line in engine.logs(replica, tail=tail, follow=wanted.follow, since=wanted.since):
            yield _clean(line, wanted), True
        return
    at, left, text = known
    since = _EPOCH + timedelta(microseconds=at)
    async for written in engine.logs(replica, tail=None, follow=wanted.follow, since=since):
        line = _clean(written, wanted)
        is_known = left > 0 and line.at is not None and to_microseconds(line.at) <= at
        left -= is_known and _sum(line) == text
        yield line, not is_known


def _clean(line: LogLine, wanted: OutputRange) -> LogLine:
    return replace(line, text=redact(clean_output(line.text), wanted.hidden))


def _sum(line: LogLine) -> int:
    return crc32(f"{line.stream} {line.text}".encode(errors="replace"))


def _started(replica: Replica) -> int:
    return to_microseconds(replica.started_at) if replica.started_at else 0


def _short(replica: Replica) -> str:
    """Return twelve hexadecimal digits for any engine's id of a replica."""
    name = re.sub("[^0-9a-f]", "", replica.id.lower())[:12]
    return name.ljust(12, "0")


def _draw(replica: Replica, line: LogLine) -> OutputLine:
    at = format_instant(line.at) if line.at else None
    return OutputLine(replica.index or 0, line.stream, line.text, at)
