"""Reads of the lines of a service, off the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

from fastapi import Request

from orca.features.logs.collector import Collecting, folder_of
from orca.features.logs.rules import Filter, StoredLine
from orca.features.logs.schemas import LineQuery
from orca.features.logs.search import FoundLines, Wanted, find, read_around
from orca.features.logs.store import LogStore
from orca.features.logs.timeline import Timeline
from orca.resources import Resources

T = TypeVar("T")
POLL_SECONDS = 2.0
_LEAVE_SECONDS = 0.25
_BATCH = 500


def find_timeline(resources: Resources, service_id: str) -> Timeline | None:
    """Return the timeline that this process writes; None when it writes none of this service."""
    collector = Collecting.of(resources).collector
    return collector.timelines.get(service_id) if collector else None


async def open_store(resources: Resources, service_id: str) -> LogStore:
    """Return the lines of a service for reading, with those in the memory of this process."""
    if timeline := find_timeline(resources, service_id):
        return timeline.store
    return await asyncio.to_thread(LogStore, folder_of(resources) / service_id)


async def search(
    resources: Resources, request: Request, user: str, query: LineQuery, work: Callable[[threading.Event], T]
) -> T | None:
    """Run a search in a thread; it is given up when the client leaves."""
    searching = asyncio.ensure_future(_read(resources, user, query.to_filter(), work))
    try:
        while not (await asyncio.wait({searching}, timeout=_LEAVE_SECONDS))[0]:
            if await request.is_disconnected():
                return None
        return searching.result()
    finally:
        searching.cancel()


async def _read(resources: Resources, user: str, wanted: Filter, work: Callable[[threading.Event], T]) -> T:
    """Read lines in a thread, with one filtered search per user at a time; cancelling the caller stops it."""
    collecting, stop = Collecting.of(resources), threading.Event()
    try:
        async with collecting.search_of(user) if wanted != Filter() else nullcontext():
            return await asyncio.get_running_loop().run_in_executor(collecting.readers, work, stop)
    finally:
        stop.set()


def read_page(store: LogStore, query: LineQuery, stop: threading.Event) -> FoundLines:
    """Return the page that is asked for. Blocks."""
    wanted = query.to_filter()
    if query.around is not None:
        return read_around(store, query.around, query.limit, wanted, stop)
    is_first = query.before is None and query.after is None
    if is_first and wanted == Filter():
        found = find(store, Wanted(limit=query.limit), stop)
        return FoundLines(found.lines, found.resume, store.next_number - store.first_number)
    page = Wanted(wanted, query.limit, query.before, query.after, query.context, counts=is_first)
    return find(store, page, stop)


async def follow_lines(
    resources: Resources, service_id: str, after: int | None, wanted: Filter, user: str = ""
) -> AsyncIterator[list[StoredLine]]:
    """Yield new lines that match, as they come."""
    store = await open_store(resources, service_id)
    last = store.next_number - 1 if after is None else after
    while True:
        timeline = find_timeline(resources, service_id)
        with timeline.listen() if timeline else nullcontext(asyncio.Event()) as bell:
            while find_timeline(resources, service_id) is timeline:
                bell.clear()
                store = await open_store(resources, service_id)
                end = store.next_number - 1
                if end > last:
                    work = partial(find, store, Wanted(wanted, _BATCH, after=last))
                    found = await _read(resources, user, wanted, work)
                    if found.lines:
                        yield found.lines
                    last = (
                        max([end, *(line.number for line in found.lines[-1:])])
                        if found.resume is None
                        else found.resume
                    )
                    if found.resume is not None:
                        continue
                await _wait(bell)


async def _wait(bell: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await bell.wait()
    except TimeoutError:
        return


async def read_all(resources: Resources, store: LogStore, wanted: Filter, user: str) -> AsyncIterator[list[StoredLine]]:
    """Yield all lines that match, in order and in batches."""
    after: int | None = -1
    while after is not None:
        work = partial(find, store, Wanted(wanted, 2000, after=after))
        found = await _read(resources, user, wanted, work)
        after = found.resume
        if found.lines:
            yield found.lines


def explain_gap(resources: Resources, service_id: str, system_id: str) -> str:
    """Say why new lines of a service may be missing; empty when they come."""
    if not resources.settings.logs.stored:
        return "What services write is not kept: ORC_LOGS_STORED is false."
    collector = Collecting.of(resources).collector
    if collector is None:
        return "Another process of Orca collects the lines: new ones are shown here with a delay."
    if problem := collector.problems.get(system_id):
        return f"New lines cannot be read at the moment: {problem}"
    if reason := collector.find_unread(service_id):
        return f"A replica's lines cannot be read at the moment: {reason}"
    timeline = collector.timelines.get(service_id)
    return (timeline.problem if timeline else "") or collector.shortage
