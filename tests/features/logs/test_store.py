"""Lines on disk: what is appended is read again, whatever ends the process, and never more than the budget."""

import os
import random
import threading
import time
import tracemalloc

import pytest

from orca.features.logs.rules import LEVELS, Filter, Line, Writer, find_levels
from orca.features.logs.search import SearchStopped, Wanted, find, read_around
from orca.features.logs.store import LogStore

START = 1_790_000_000_000_000
WRITERS = [Writer("a" * 16, 0, 3), Writer("b" * 16, 1, 3)]
NEVER = threading.Event()


def make(first: int, count: int, text: str = "request {0} took 3 ms") -> list[Line]:
    return [
        Line(START + number * 1000, WRITERS[number % 2], number % 5 == 0, text.format(number))
        for number in range(first, first + count)
    ]


def fill(store: LogStore, count: int, *, flush_every: int = 0, **options) -> None:
    for first in range(0, count, flush_every or count):
        lines = make(first, flush_every or count, **options)
        store.append(lines, {lines[-1].writer.id: (lines[-1].at, 1)})
        if flush_every:
            store.flush()


def texts(store: LogStore, wanted: Wanted) -> list[str]:
    return [line.text for line in find(store, wanted, NEVER).lines]


@pytest.fixture
def store(tmp_path) -> LogStore:
    return LogStore(tmp_path / "service", writes=True)


def test_lines_are_read_again_by_another_process_and_numbered_on(store):
    fill(store, 1000, flush_every=100)
    again = LogStore(store.folder, writes=True)
    assert again.next_number == 1000
    assert again.positions == store.positions
    again.append(make(1000, 1), {})
    found = find(again, Wanted(limit=2), NEVER)
    assert [(line.number, line.text, line.writer, line.is_error) for line in found.lines] == [
        (999, "request 999 took 3 ms", WRITERS[1], False), (1000, "request 1000 took 3 ms", WRITERS[0], True),
    ]  # fmt: skip


def test_pages_in_both_directions_have_every_line_once(store):
    fill(store, 950, flush_every=50)
    store.append(make(950, 7), {})
    seen, before = [], None
    while True:
        found = find(store, Wanted(limit=90, before=before), NEVER)
        seen = [line.number for line in found.lines] + seen
        if found.resume is None:
            break
        before = found.resume
    assert seen == list(range(957))
    seen, after = [], -1
    while True:
        found = find(store, Wanted(limit=90, after=after), NEVER)
        seen += [line.number for line in found.lines]
        if found.resume is None:
            break
        after = found.resume
    assert seen == list(range(957))
    assert [line.number for line in read_around(store, 500, 6, Filter(), NEVER).lines] == [497, 498, 499, 500, 501, 502]


@pytest.mark.parametrize("cut", [1, 9, 40, 200])
def test_a_torn_end_is_cut_off_and_read_again_from_the_positions_before_it(store, cut):
    fill(store, 300, flush_every=100)
    (path,) = store.folder.glob("*.log")
    os.truncate(path, path.stat().st_size - cut)
    again = LogStore(store.folder, writes=True)
    assert again.next_number == 200
    assert again.positions == {WRITERS[1].id: (START + 199_000, 1)}
    again.append(make(200, 100), {})
    again.flush()
    assert len(texts(LogStore(store.folder), Wanted(limit=1000))) == 300


def test_a_damaged_chunk_is_left_out_and_the_others_are_read(store):
    fill(store, 300, flush_every=100)
    (path,) = store.folder.glob("*.log")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    found = texts(LogStore(store.folder), Wanted(limit=1000))
    assert len(found) == 200
    assert found[0] == "request 0 took 3 ms"
    assert found[-1] == "request 299 took 3 ms"


def test_the_oldest_segments_go_first_and_what_was_read_is_still_known(tmp_path):
    store = LogStore(tmp_path / "service", writes=True, segment_bytes=20_000)
    noise = random.Random(1)
    for first in range(0, 2000, 100):
        numbers = range(first, first + 100)
        lines = [Line(START + number, WRITERS[0], False, noise.randbytes(60).hex()) for number in numbers]
        store.append(lines, {WRITERS[0].id: (START + first + 99, 1)})
        store.flush()
    before = store.size
    assert store.prune(most_bytes=before // 2, oldest=0)
    assert store.size <= before // 2
    assert store.first_number > 0
    assert store.first_number == find(store, Wanted(limit=2000), NEVER).lines[0].number
    assert store.prune(most_bytes=1 << 30, oldest=time.time() + 60)
    again = LogStore(store.folder, writes=True)
    assert (texts(again, Wanted()), again.next_number, again.first_number) == ([], 2000, 2000)
    assert again.positions == {WRITERS[0].id: (START + 1999, 1)}
    assert not again.prune(most_bytes=0, oldest=time.time() + 60)


def test_a_full_disk_loses_nothing_that_was_appended(store):
    fill(store, 100, flush_every=100)
    folder = store.folder
    folder.rename(folder.with_name("away"))
    folder.write_text("in the way")
    store.append(make(100, 5), {})
    with pytest.raises(OSError, match="Not a directory"):
        store.flush()
    folder.unlink()
    folder.with_name("away").rename(folder)
    store.flush()
    assert len(texts(LogStore(folder), Wanted(limit=1000))) == 105


@pytest.mark.parametrize("wanted", [
    Filter("Request 7"), Filter("nothing of that"), Filter(stream="stderr"), Filter(replica=1), Filter(release=9),
    Filter(since=START + 100_000, until=START + 200_000), Filter("TOOK 3", stream="stdout", replica=0, since=START + 5000),
    Filter("9 took 3 ms\nrequest"),
])  # fmt: skip
def test_a_filter_finds_what_looking_at_each_line_finds(store, wanted):
    fill(store, 1500, flush_every=125)
    expected = [
        number for number, line in enumerate(make(0, 1500))
        if wanted.text.lower() in line.text.lower()
        and wanted.stream in {"", "stderr" if line.is_error else "stdout"}
        and wanted.replica in {None, line.writer.replica} and wanted.release in {None, 3}
        and (wanted.since is None or line.at >= wanted.since) and (wanted.until is None or line.at < wanted.until)
    ]  # fmt: skip
    found = find(store, Wanted(wanted, limit=10, counts=True), NEVER)
    assert [line.number for line in found.lines] == expected[-10:]
    assert (found.total, found.is_total_exact) == (len(expected), True)


def test_a_segment_that_cannot_be_read_is_kept_aside_until_it_is_old(store):
    fill(store, 100, flush_every=50)
    [segment] = store.folder.glob("*.log")
    written = b"ORCLOG99" + segment.read_bytes()
    segment.write_bytes(written)
    again = LogStore(store.folder, writes=True)
    assert again.next_number == 0
    [aside] = store.folder.glob("*.bad")
    again.prune(most_bytes=1 << 30, oldest=aside.stat().st_mtime - 10)
    assert aside.read_bytes() == written
    again.prune(most_bytes=1 << 30, oldest=aside.stat().st_mtime + 10)
    assert not [*store.folder.iterdir()]


@pytest.mark.parametrize("is_forward", [True, False])
def test_a_search_that_takes_too_long_says_where_it_goes_on(store, is_forward):
    fill(store, 1500, flush_every=125)
    wanted, seen, pages, place = Filter("99 took"), [], 0, -1 if is_forward else 1500
    while place is not None:
        way = {"after": place} if is_forward else {"before": place}
        found = find(store, Wanted(wanted, limit=10, seconds=0, **way), NEVER)
        assert found.is_total_exact == (found.resume is None)
        seen += [line.number for line in found.lines]
        pages, place = pages + 1, found.resume
    assert sorted(seen) == list(range(99, 1500, 100))
    assert pages >= 12


def test_words_are_found_through_colours_and_in_other_alphabets(store):
    lines = ["\x1b[31mERR\x1b[1mOR\x1b[0m in line", "ÄRGER im Verzug", "plain"]
    store.append([Line(START, WRITERS[0], False, line) for line in lines], {})
    assert texts(store, Wanted(Filter("error"))) == [lines[0]]
    assert texts(store, Wanted(Filter("ärger"))) == [lines[1]]
    assert [line.level for line in find(store, Wanted(Filter(levels=frozenset({4}))), NEVER).lines] == [4]


def test_context_reaches_over_the_end_of_a_chunk(store):
    fill(store, 30, flush_every=10)
    found = find(store, Wanted(Filter("request 10 "), context=2), NEVER).lines
    assert [(line.number, line.is_match) for line in found] == [
        (8, False), (9, False), (10, True), (11, False), (12, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "level"), [
    ("2026-12-01 10:00:01 ERROR something", "error"), ("[warn] disk", "warn"), ('{"level":"info","msg":"error"}', "info"),
    ('{"level":50,"msg":"x"}', "error"), ("time=12 level=debug msg=x", "debug"), ("no error in this sentence", ""),
    ("Error: it broke", "error"), ("panic: runtime error", "fatal"), ("GET /errors 200", ""), ("", ""),
    ("\x1b[33mWARN\x1b[0m slow", "warn"), ("severity: CRITICAL", "fatal"),
])  # fmt: skip
def test_a_level_is_what_the_line_itself_names(text, level):
    assert [LEVELS[number] for number in find_levels(text.encode(), [len(text)])] == [level]
    between = [b"level=fatal", text.encode(), b"and [error]"]  # a line says nothing of its neighbours
    ends = [len(b"\n".join(between[:count])) for count in (1, 2, 3)]
    assert [LEVELS[number] for number in find_levels(b"\n".join(between), ends)] == ["fatal", level, "error"]


def test_a_search_ends_when_it_is_given_up_and_takes_little_memory(store):
    fill(store, 60_000, flush_every=2000, text="a line of some length with the number {0} " + "x" * 100)
    tracemalloc.start()
    assert find(store, Wanted(Filter("not there"), counts=True), NEVER).total == 0
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(SearchStopped):
        find(store, Wanted(Filter("not there"), counts=True), given_up)
