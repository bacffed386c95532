"""Build caches that are shared with other users of the engine: their records, and which of them Orca's builds made."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

_DOCKERFILE = "local source for dockerfile"
"""BuildKit's description of the one record that each build from a directory creates or reuses when it begins."""
_REMOTE = "source.git.checkout"


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """One entry of a build cache."""

    id: str
    size_bytes: int
    kind: str = ""
    description: str = ""
    parents: tuple[str, ...] = ()
    in_use: bool = False
    is_shared: bool = False
    """Whether an image contains the same data, so that removing the record frees nothing."""
    last_used: float = 0.0
    """Seconds since 1970, by the engine's clock."""
    uses: int = 0


@runtime_checkable
class SupportsBuildCache(Protocol):
    """An engine whose build cache can be listed, and removed record by record."""

    async def list_cache(self) -> list[CacheRecord]:
        """Return all records, including those of builds that Orca did not start."""
        ...

    async def remove_cache(self, ids: Sequence[str]) -> None:
        """Remove these records, except those that are in use or that other records depend on."""
        ...


@runtime_checkable
class SupportsImageSizes(Protocol):
    """An engine that knows how much space removing an image would free."""

    async def measure_images(self) -> dict[str, int]:
        """Return the bytes of each image, by id, that it shares with no other image."""
        ...


class CacheWatch:
    """Finds the records of Orca's own builds: those that appear while no other build is observed.

    The engine's records do not have an owner. But each build from a directory leaves a trace (`_DOCKERFILE`) when it
    begins, and uses records while it runs. So more traces than builds of ours, or records in use before one of ours
    began, mean a foreign build: records that appear from then on, until all of ours have ended, do not count as ours.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        """Held from listing the records until they are passed in here, so that lists are processed in order."""
        self._before: dict[str, CacheRecord] | None = None
        """The records at the last listing; None when it failed."""
        self._running = 0
        self._unseen = 0
        """Number of our builds whose trace has not appeared yet."""
        self._is_alone = True

    def begin(self, records: Sequence[CacheRecord] | None) -> list[str]:
        """Register the begin of a build of ours; return what our running ones made. `records`: None if unknown."""
        if self._running:
            mine = self._look(records)
        else:
            mine, self._unseen = [], 0
            self._before = None if records is None else {record.id: record for record in records}
            self._is_alone = not any(record.in_use for record in records or ())
        self._running += 1
        self._unseen += 1
        return mine

    def end(self, records: Sequence[CacheRecord] | None) -> list[str]:
        """Register the end of a build of ours, successful or not; return the ids of our new records."""
        mine = self._look(records)
        self._running -= 1
        return mine

    def _look(self, records: Sequence[CacheRecord] | None) -> list[str]:
        before = self._before
        self._before = None if records is None else {record.id: record for record in records}
        self._is_alone = self._is_alone and before is not None and records is not None
        if before is None or records is None:
            return []
        traces = sum(
            record.description == _DOCKERFILE and _is_touched(before.get(record.id), record) for record in records
        )
        remote = any(record.kind == _REMOTE and _is_touched(before.get(record.id), record) for record in records)
        self._is_alone = self._is_alone and traces <= self._unseen and not remote
        self._unseen = max(self._unseen - traces, 0)
        return [record.id for record in records if record.id not in before] if self._is_alone else []


def _is_touched(before: CacheRecord | None, record: CacheRecord) -> bool:
    """Whether a build began to use the record since the last listing, as opposed to ending a use from before."""
    if before is None:
        return True
    return not before.in_use and (record.in_use or record.uses != before.uses)


def choose_records(records: Iterable[CacheRecord], ours: Mapping[str, bool], budget_bytes: int) -> list[str]:
    """Choose our records to remove: the least recently used ones, until the rest of ours fits the budget.

    `ours`: id -> whether the record is still wanted; unwanted ones are removed in any case. A record counts as used
    when its dependents were used, and stays when one of these is not ours.
    """
    known = {cache_record.id: cache_record for cache_record in records}
    users: dict[str, list[CacheRecord]] = {}
    for cache_record in known.values():
        for parent in cache_record.parents:
            users.setdefault(parent, []).append(cache_record)
    mine = [cache_record for cache_record in known.values() if cache_record.id in ours and not cache_record.is_shared]
    removable = {cache_record.id for cache_record in mine if not cache_record.in_use}
    ages = {cache_record.id: _age(cache_record, users, removable) for cache_record in mine}
    total, chosen = sum(cache_record.size_bytes for cache_record in mine), []
    for cache_record in sorted(mine, key=lambda record: (ours[record.id], ages[record.id] or (0.0, 0))):
        if ages[cache_record.id] is not None and (total > budget_bytes or not ours[cache_record.id]):
            chosen.append(cache_record.id)
            total -= cache_record.size_bytes
    return chosen


def _age(record: CacheRecord, users: Mapping[str, list[CacheRecord]], removable: set[str]) -> tuple[float, int] | None:
    """Return the sort key (last use of it or its dependents, depth among them); None when a dependent must stay."""
    last, height, waiting = 0.0, 0, [(record, 0)]
    while waiting:
        record, depth = waiting.pop()
        if record.id not in removable:
            return None
        last, height = max(last, record.last_used), max(height, depth)
        waiting += [(user, depth + 1) for user in users.get(record.id, ())]
    return last, height
