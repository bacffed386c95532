"""The output of replicas over broken streams: every line once, whatever the moment of the break."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from orca.features.deployments.output import OutputRange, Positions, follow_output, start_here
from orca.sdk.workloads import LogLine, Replica

BEGUN = datetime(2026, 11, 29, 12, tzinfo=UTC)


@dataclass
class Recorded:
    """The log of an engine as it was at one moment."""

    logs_of: dict[str, list[LogLine]] = field(default_factory=dict)

    async def logs(self, replica, *, tail, follow, since=None) -> AsyncIterator[LogLine]:
        lines = self.logs_of[replica.id]
        for line in lines[0 if tail is None else max(0, len(lines) - tail) :]:
            if since is None or line.at >= since:
                yield line


def container(number: int, started=BEGUN) -> Replica:
    return Replica(
        id=f"{number:064x}"[::-1], name=f"c{number}", image_id="i", labels={}, state="running",
        address=None, exit_code=None, restarts=0, out_of_memory=False, started_at=started, index=number,
    )  # fmt: skip


def write(engine: Recorded, target: Replica, count: int, *, at=BEGUN) -> None:
    lines = engine.logs_of.setdefault(target.id, [])
    for _ in range(count):  # bursts of three in one microsecond
        moment = at + timedelta(microseconds=len(lines) // 3)
        lines.append(LogLine("stdout" if len(lines) % 2 else "stderr", f"{target.name} {len(lines)}", moment))


async def read(engine, containers, wanted, most=10**6):
    found, identifier = [], ""
    async for line, position in follow_output(engine, containers, wanted):
        identifier = position
        found.append(line.text)
        if len(found) == most:
            break
    return found, identifier


@pytest.mark.parametrize("step", [1, 2, 5, 7])
async def test_a_stream_that_breaks_everywhere_misses_nothing_and_repeats_nothing(step):
    engine, replicas = Recorded(), [container(1), container(2)]
    for each in replicas:
        write(engine, each, 10)
    found, identifier = await read(engine, replicas, OutputRange(200, follow=False), step)
    while True:
        for each in replicas:
            if len(engine.logs_of[each.id]) < 40:
                write(engine, each, 1)
        after = Positions.parse(identifier)
        assert after is not None
        more, following = await read(engine, replicas, OutputRange(200, follow=False, after=after), step)
        if not more:
            break
        found, identifier = found + more, following
    assert sorted(found) == sorted(line.text for lines in engine.logs_of.values() for line in lines)
    for each in replicas:
        of_one = [text for text in found if text.startswith(f"{each.name} ")]
        assert of_one == [line.text for line in engine.logs_of[each.id]]


async def test_a_replica_that_started_meanwhile_is_read_from_its_first_line():
    engine, old, new = Recorded(), container(1), container(2, datetime.now(UTC) + timedelta(seconds=5))
    write(engine, old, 3)
    _, identifier = await read(engine, [old], OutputRange(1, follow=False))
    write(engine, new, 10, at=BEGUN + timedelta(hours=1))
    more, _ = await read(engine, [old, new], OutputRange(1, follow=False, after=Positions.parse(identifier)))
    assert more == [f"c2 {number}" for number in range(10)]


async def test_a_stream_without_a_tail_has_what_comes_after_it_was_opened():
    engine, one = Recorded(), container(1)
    write(engine, one, 9)
    opened = start_here([one], BEGUN + timedelta(seconds=1))
    assert (await read(engine, [one], OutputRange(0, follow=False, after=opened)))[0] == []
    engine.logs_of[one.id].append(LogLine("stdout", "late", BEGUN + timedelta(seconds=2)))
    assert (await read(engine, [one], OutputRange(0, follow=False, after=Positions.parse(str(opened)))))[0] == ["late"]


@pytest.mark.parametrize("text", ["", "zzz", "1_x", "1_abc.1.1", "-1", "1" * 18, "1_" + "a" * 12 + ".1"])
def test_what_is_no_position_is_not_taken_for_one(text):
    assert Positions.parse(text) is None
