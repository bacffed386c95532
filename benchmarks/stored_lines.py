"""Lines of services: how fast they go into their store, and how long a search over a gigabyte takes."""

import random
import shutil
import tempfile
import threading
import time
from pathlib import Path

from orca.features.logs.rules import Filter, Line, Writer
from orca.features.logs.search import Wanted, find
from orca.features.logs.store import LogStore

GIGABYTE, BATCH, BATCHES = 10**9, 2000, 150
IN_MB, SECONDS = 20.0, 3.0
START = 1_790_000_000_000_000
_WRITER = Writer("a" * 16, 0, 1)


def stored_lines() -> list[tuple[str, str, str, bool]]:
    folder = Path(tempfile.mkdtemp(prefix="orca-logs-"))
    try:
        return _measure(LogStore(folder / "service", writes=True))
    finally:
        shutil.rmtree(folder)


def _measure(store: LogStore) -> list[tuple[str, str, str, bool]]:
    chance = random.Random(1)
    batches = [[_make(chance, batch * BATCH + number) for number in range(BATCH)] for batch in range(BATCHES)]
    sizes = [sum(len(line.text) + 1 for line in batch) for batch in batches]
    written, begun, cpu = 0, time.perf_counter(), time.process_time()
    while written < GIGABYTE:
        for batch, size in zip(batches, sizes, strict=True):
            store.append(batch, {_WRITER.id: (batch[-1].at, 1)})
            written += size
    store.flush()
    into = written / 10**6 / (time.perf_counter() - begun)
    into_cpu = written / 10**6 / (time.process_time() - cpu)
    took, cpus = [], []
    for text in ("no line has this", "user 4711 "):
        begun, cpu = time.perf_counter(), time.process_time()
        found = find(store, Wanted(Filter(text), counts=True), threading.Event())
        took.append((time.perf_counter() - begun) * GIGABYTE / written)
        cpus.append((time.process_time() - cpu) * GIGABYTE / written)
    share = store.size / written
    return [
        ("lines of services into their store", f"≥ {IN_MB:g} MB/s", f"{into:.0f} MB/s, {into_cpu:.0f} MB in a second of CPU; {share:.0%} of the size", into >= IN_MB),
        ("search of 1 GB of lines, with the number of matches", f"≤ {SECONDS:g} s",
         f"{took[0]:.1f} s ({cpus[0]:.1f} s CPU) without a match, {took[1]:.1f} s ({cpus[1]:.1f} s CPU) with {found.total:,}", max(took) <= SECONDS),
    ]  # fmt: skip


def _make(chance: random.Random, number: int) -> Line:
    level = chance.choice(["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"])
    text = (
        f"2026-12-01T09:{number % 60:02}:{chance.randrange(60):02}.{chance.randrange(10**6):06}Z {level} request "
        f"{chance.getrandbits(64):016x} GET /api/v1/items/{chance.randrange(10**5)} {chance.choice([200, 201, 404, 500])} "
        f"in {chance.random() * 100:.3f} ms for user {chance.randrange(5000)} at the edge"
    )
    return Line(START + number * 100, _WRITER, level == "ERROR", text)
