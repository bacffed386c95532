"""What replicas write is stored once, with the replica, and stays when its container is gone or Orca was."""

import asyncio
import fcntl
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.features.deployments.bench import Bench

from orca.db import now
from orca.errors import RequestRefused
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.logs.collector import Collecting, _read, collect, folder_of, keep_last_words
from orca.features.logs.hiding import Hiding
from orca.features.logs.queries import _read as read_in_thread
from orca.features.logs.queries import explain_gap, follow_lines, open_store
from orca.features.logs.retention import forget_lines, keep_reserve
from orca.features.logs.rules import Filter, Line, Writer
from orca.features.logs.search import Wanted, find
from orca.features.logs.store import LogStore
from orca.features.secrets.actions import put_secret
from orca.features.services.models import Service
from orca.sdk.workloads import LogLine
from orca.systems import LOCAL
from orca.web.guard import Scope

NEVER = threading.Event()


@asynccontextmanager
async def collecting(bench: Bench) -> AsyncIterator[None]:
    running = asyncio.create_task(collect(bench.resources, every=0.05))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def read(bench: Bench, service_id: str) -> list[str]:
    store = await open_store(bench.resources, service_id)
    return [line.text for line in find(store, Wanted(limit=1000), NEVER).lines]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - a condition, no event
            await asyncio.sleep(0.02)


async def make_with_secret(bench: Bench) -> Service:
    service = await bench.make_service()
    await bench.resources.tasks.start(bench.resources)
    ended = await bench.make_web_live(service)
    async with bench.resources.db.write() as session:
        await put_secret(
            session, bench.resources.secret_box, team_id=service.team_id, owner=("release", ended.release_id),
            name="variables", value=json.dumps({"TOKEN": "hush-hush"}),
        )  # fmt: skip
    return service


async def test_lines_of_a_replaced_container_stay_and_the_new_one_continues_the_timeline(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.resources.tasks.start(bench.resources)
    await bench.make_web_live(service)
    async with collecting(bench):
        (first,) = await bench.containers(service)
        bench.host.write(first.name, "one")
        bench.host.write(first.name, "two")

        async def has_two() -> bool:
            return await read(bench, service.id) == ["one", "two"]

        await until(has_two)
        bench.host.write(first.name, "last words")
        assert (await bench.end_of(await bench.ask(service, DeploymentRequest()))).state == "succeeded"
        (second,) = await bench.containers(service)
        assert second.name != first.name
        bench.host.write(second.name, "three")

        async def has_four() -> bool:
            return await read(bench, service.id) == ["one", "two", "last words", "three"]

        await until(has_four)
        found = find(await open_store(bench.resources, service.id), Wanted(), NEVER).lines
        assert [line.writer.release for line in found] == [1, 1, 1, 2]
    assert Collecting.of(bench.resources).collector is None
    assert await read(bench, service.id) == ["one", "two", "last words", "three"]


async def test_a_collector_that_begins_again_repeats_and_misses_nothing(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    (container,) = await bench.containers(service)
    written = []
    for round_ in range(4):
        for number in range(50):
            written.append(f"{round_} {number}")
            bench.host.write(container.name, written[-1])
        async with collecting(bench):

            async def has_all() -> bool:
                return len(await read(bench, service.id)) >= len(written)

            await until(has_all)
    assert await read(bench, service.id) == written


async def test_secrets_are_hidden_before_they_are_written(bench: Bench) -> None:
    service = await make_with_secret(bench)
    (container,) = await bench.containers(service)
    bench.host.write(container.name, "token hush-hush!")
    async with collecting(bench):

        async def has_one() -> bool:
            return bool(await read(bench, service.id))

        await until(has_one)
    assert await read(bench, service.id) == ["token •••!"]
    assert b"hush" not in b"".join(
        chunk.read()[0].text for chunk in LogStore(folder_of(bench.resources) / service.id).chunks()
    )


async def test_secrets_are_hidden_again_in_what_is_written_and_in_what_is_read(bench: Bench) -> None:
    service = await make_with_secret(bench)
    await bench.edit(service, masks_secrets=False)
    (container,) = await bench.containers(service)
    async with collecting(bench):

        async def write_until(expected: str) -> None:
            async with asyncio.timeout(20):
                while expected not in await read(bench, service.id):
                    bench.host.write(container.name, "x hush-hush")
                    await asyncio.sleep(0.1)

        await write_until("x hush-hush")
        hiding = Hiding(bench.resources, Scope(service.team_id), service.id)
        lines = find(await open_store(bench.resources, service.id), Wanted(), NEVER).lines
        assert {line.text for line in await hiding.hide(lines)} == {"x hush-hush"}
        await bench.edit(service, masks_secrets=True)
        await write_until("x •••")
        hiding = Hiding(bench.resources, Scope(service.team_id), service.id)
        assert {line.text for line in await hiding.hide(lines)} == {"x •••"}


async def test_a_secret_at_the_place_where_a_line_is_cut_is_hidden(bench: Bench) -> None:
    service = await make_with_secret(bench)
    (container,) = await bench.containers(service)
    bench.host.write(container.name, "x" * ((32 << 10) - 5) + "hush-hush")
    async with collecting(bench):

        async def has_one() -> bool:
            return bool(await read(bench, service.id))

        await until(has_one)
    assert [line[-6:] for line in await read(bench, service.id)] == ["xxx•••"]


async def test_one_process_at_a_time_collects_and_says_when_an_engine_is_away(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    bench.host.down = True
    async with collecting(bench):

        async def is_known() -> bool:
            collector = Collecting.of(bench.resources).collector
            return bool(collector and collector.problems.get(LOCAL))

        await until(is_known)
        first = Collecting.of(bench.resources).collector
        async with collecting(bench):
            await asyncio.sleep(0.2)
            assert Collecting.of(bench.resources).collector is first


async def test_a_stream_begins_where_a_page_has_ended(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    (container,) = await bench.containers(service)
    bench.host.write(container.name, "old")
    async with collecting(bench):

        async def has_one() -> bool:
            return bool(await read(bench, service.id))

        await until(has_one)
        stream = follow_lines(bench.resources, service.id, 0, Filter("new"))
        for text in ("new 1", "other", "new 2"):
            bench.host.write(container.name, text)
        seen = []
        async with asyncio.timeout(10):
            async for lines in stream:
                seen += [(line.number, line.text) for line in lines]
                if len(seen) == 2:
                    break
        await stream.aclose()
    assert seen == [(1, "new 1"), (3, "new 2")]


async def test_lines_of_a_service_that_was_deleted_go_when_their_time_is_over(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    (container,) = await bench.containers(service)
    bench.host.write(container.name, "one")
    folder = folder_of(bench.resources) / service.id
    async with collecting(bench):

        async def has_one() -> bool:
            return bool(await read(bench, service.id))

        await until(has_one)
        await Collecting.of(bench.resources).collector.timelines[service.id].flush()
        await bench.edit(service, deleted_at=now())
        await forget_lines(bench.resources)
        assert folder.exists()
        await forget_lines(replace(bench.resources, clock=_InThreeWeeks()))
        assert not folder.exists()


class _InThreeWeeks:
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(weeks=3)


class _Rotated:
    """An engine whose log has many lines in one microsecond, and loses old ones."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    async def logs(self, replica, *, tail, follow, since=None):
        for line in self.lines:
            if since is None or line.at >= since:
                yield line


async def test_a_read_that_is_interrupted_anywhere_continues_with_the_next_line() -> None:
    engine, start, seen, position = _Rotated(), datetime(2026, 12, 1, tzinfo=UTC), [], None
    for number in range(120):
        engine.lines.append(LogLine("stdout", str(number), start + timedelta(microseconds=number // 7)))
        if number % 5 == 0:
            async for line, place in _read(engine, None, position, follows=False):
                seen.append(line.text)
                position = place
                if len(seen) % 3 == 0:
                    break
        if number == 60:
            del engine.lines[:35]
    async for line, _ in _read(engine, None, position, follows=False):
        seen.append(line.text)
    assert seen == [str(number) for number in range(120)]


async def test_a_search_holds_up_nobody_else_and_ends_with_its_reader(bench: Bench) -> None:
    ended = threading.Event()

    def search_long(stop: threading.Event) -> None:
        stop.wait(60)
        ended.set()

    searches = [asyncio.create_task(read_in_thread(bench.resources, "a", Filter("x"), search_long)) for _ in range(9)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(20):
        assert await read_in_thread(bench.resources, "b", Filter("x"), lambda _: "found") == "found"
        assert await read_in_thread(bench.resources, "a", Filter(), lambda _: "a page") == "a page"
    for search in searches:
        search.cancel()
    assert await asyncio.to_thread(ended.wait, 20)


async def test_a_removal_waits_for_a_collector_that_begins(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    (container,) = await bench.containers(service)
    bench.host.write(container.name, "last words")
    (replica,) = await (await bench.engine()).observe({"orca.service": service.id})
    folder = folder_of(bench.resources)
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as elsewhere:
        fcntl.flock(elsewhere, fcntl.LOCK_EX)
        async with collecting(bench):
            removal = asyncio.create_task(keep_last_words(bench.resources, LOCAL, replica))
            await asyncio.sleep(0.2)
            assert not removal.done()
            fcntl.flock(elsewhere, fcntl.LOCK_UN)
            await removal
            assert await read(bench, service.id) == ["last words"]


async def test_a_replica_that_cannot_be_read_is_named_to_readers(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)

    async def refuse(*_: object, **__: object) -> AsyncIterator[LogLine]:
        raise RequestRefused("The logging driver does not support reading.")
        yield

    bench.host.logs = refuse
    async with collecting(bench):

        async def is_told() -> bool:
            return "logging driver" in explain_gap(bench.resources, service.id, LOCAL)

        await until(is_told)
        del bench.host.logs

        async def is_well() -> bool:
            return explain_gap(bench.resources, service.id, LOCAL) == ""

        await until(is_well)


async def test_old_lines_go_when_the_disk_has_less_than_its_reserve(bench: Bench) -> None:
    service = await bench.make_service()
    store = LogStore(folder_of(bench.resources) / service.id, writes=True, segment_bytes=2000)
    for number in range(20):
        store.append([Line(number, Writer("a" * 16, 0, 1), False, os.urandom(500).hex())], {})
        store.flush()
    assert len(list(store.folder.glob("*.log"))) > 5
    disk = bench.resources.settings.disk.model_copy(update={"reserve_mb": 1 << 40})
    short = replace(bench.resources, settings=bench.resources.settings.model_copy(update={"disk": disk}))
    async with collecting(bench):

        async def has_begun() -> bool:
            return Collecting.of(bench.resources).collector is not None

        await until(has_begun)
        await keep_reserve(short)
        assert len(list(store.folder.glob("*.log"))) == 1
        assert "MiB are free" in explain_gap(bench.resources, service.id, LOCAL)
        assert (await open_store(bench.resources, service.id)).next_number == 20
