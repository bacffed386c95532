"""The local connector on the real machine: the shared suite, and that nothing it starts is ever left behind."""

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from orca.errors import DeadlineExceeded, ProviderUnavailable, RequestRefused
from orca.providers.connectors.local import LocalConnector, LocalConnectorProvider
from orca.sdk.connectors import Command
from orca.sdk.testing.connectors import ConnectorConformance

pytestmark = pytest.mark.slow

STUBBORN_FAMILY = """
trap '' TERM
(trap '' TERM; echo $$ child; sleep {seconds}) &
sleep {seconds}
"""


@pytest.fixture
async def connector():
    provider = LocalConnectorProvider()
    async with provider.open(provider.Config()) as connector:
        yield connector


class TestLocalConnector(ConnectorConformance):
    @pytest.fixture
    async def connector(self):
        provider = LocalConnectorProvider()
        async with provider.open(provider.Config()) as connector:
            yield connector


def family(mark: str) -> list[psutil.Process]:
    """Living processes that were started with this argument."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and mark in process.cmdline():
                found.append(process)
    return found


@pytest.fixture
def mark(request):
    """A number of seconds that no other process sleeps, by which a family of processes is found."""
    mark = f"{600 + os.getpid() / 1e7 + (hash(request.node.nodeid) % 1000) / 1e10:.11f}"
    yield mark
    for process in family(mark):
        process.kill()


async def appears(mark: str, count: int) -> None:
    async with asyncio.timeout(20):
        while len(family(mark)) < count:  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.02)


async def vanishes(mark: str, within: float) -> None:
    async with asyncio.timeout(within):
        while family(mark):  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.05)


async def test_a_stubborn_family_is_killed_at_the_deadline(connector, mark):
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded) as failure:
        await connector.run(Command(("sh", "-c", STUBBORN_FAMILY.format(seconds=mark)), deadline=1))
    assert 3 <= time.monotonic() - begun < 5
    assert family(mark) == []
    assert mark not in failure.value.message
    assert failure.value.hint


async def test_a_stubborn_family_is_killed_on_cancellation(connector, mark):
    running = asyncio.ensure_future(
        connector.run(Command(("sh", "-c", STUBBORN_FAMILY.format(seconds=mark)), deadline=600))
    )
    await appears(mark, 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert family(mark) == []


async def test_a_second_cancellation_does_not_hurry_the_first(connector, mark):
    running = asyncio.ensure_future(
        connector.run(Command(("sh", "-c", STUBBORN_FAMILY.format(seconds=mark)), deadline=600))
    )
    await appears(mark, 2)
    running.cancel()
    await asyncio.sleep(0.3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert family(mark) == []


async def test_cancelling_while_it_starts_leaves_nothing(connector, mark):
    for delay in (0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05):
        running = asyncio.ensure_future(connector.run(Command(("sleep", mark), deadline=600)))
        await asyncio.sleep(delay)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert family(mark) == []


async def test_term_is_enough_for_a_polite_command(connector, tmp_path):
    said = tmp_path / "said"
    script = f"trap 'echo goodbye > {said}; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    started = asyncio.Event()

    async def sink(_stream, _chunk):
        started.set()

    running = asyncio.ensure_future(connector.run(Command(("sh", "-c", script), deadline=600), sink))
    await started.wait()
    begun = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - begun < 1.5
    assert said.read_text() == "goodbye\n"


async def test_what_a_command_leaves_in_its_group_ends_with_it(connector, mark):
    script = f"sleep {mark} & echo done"
    begun = time.monotonic()
    result = await connector.run(Command(("sh", "-c", script), deadline=600))
    assert result.text == "done"
    assert time.monotonic() - begun < 5
    await vanishes(mark, within=2)


async def test_what_left_the_group_on_purpose_lives_on_and_delays_nobody(connector, mark, tmp_path):
    ready = tmp_path / "ready"
    script = f"setsid sh -c 'touch {ready}; exec sleep {mark}' & while ! test -e {ready}; do sleep 0.01; done; echo on"
    begun = time.monotonic()
    result = await connector.run(Command(("sh", "-c", script), deadline=600))
    assert result.text == "on"
    assert time.monotonic() - begun < 5
    await appears(mark, 1)


async def test_everything_dies_with_orca(mark, tmp_path):
    caller = tmp_path / "caller.py"
    caller.write_text(
        textwrap.dedent(f"""
        import asyncio
        from orca.providers.connectors.local import LocalConnector
        from orca.sdk.connectors import Command
        script = {STUBBORN_FAMILY.format(seconds=mark)!r}
        asyncio.run(LocalConnector().run(Command(("sh", "-c", script), deadline=600)))
        """)
    )
    orca = await asyncio.create_subprocess_exec(
        sys.executable, str(caller), env={**os.environ, "PYTHONPATH": str(source_root())}
    )
    await appears(mark, 2)
    orca.send_signal(signal.SIGKILL)
    await orca.wait()
    await vanishes(mark, within=5)


async def test_a_killed_supervisor_takes_the_command_along(connector, mark):
    running = asyncio.ensure_future(connector.run(Command(("sleep", mark), deadline=600)))
    await appears(mark, 1)
    (command,) = family(mark)
    command.parent().kill()
    with pytest.raises(ProviderUnavailable) as failure:
        await running
    assert "supervisor" in failure.value.message
    await vanishes(mark, within=2)


async def test_a_frozen_supervisor_does_not_hold_the_caller(connector, mark):
    running = asyncio.ensure_future(connector.run(Command(("sleep", mark), deadline=1)))
    await appears(mark, 1)
    (command,) = family(mark)
    command.parent().suspend()
    with pytest.raises(DeadlineExceeded):
        await asyncio.wait_for(running, 15)
    await vanishes(mark, within=2)


async def test_memory_stays_flat_at_any_volume(connector):
    process = psutil.Process()
    volume = 0

    async def sink(_stream, chunk):
        nonlocal volume
        volume += len(chunk)

    await connector.run(Command(("head", "-c", "10000000", "/dev/zero"), deadline=60), sink)
    before = process.memory_info().rss
    result = await connector.run(Command(("head", "-c", "400000000", "/dev/zero"), deadline=120), sink)
    assert volume == 410_000_000
    assert len(result.stdout) == 1 << 20
    assert process.memory_info().rss - before < 30 << 20


async def test_a_slow_sink_makes_the_command_wait(connector):
    received = 0
    gate = asyncio.Event()

    async def sink(_stream, chunk):
        nonlocal received
        received += len(chunk)
        await gate.wait()

    running = asyncio.ensure_future(connector.run(Command(("head", "-c", "50000000", "/dev/zero"), deadline=60), sink))
    await asyncio.sleep(1)
    assert received <= 1 << 16
    gate.set()
    await running
    assert received == 50_000_000


async def test_death_by_signal_reads_as_in_a_shell(connector):
    assert (await connector.run(Command(("sh", "-c", "kill -9 $$"), deadline=10))).exit_code == 137


async def test_signals_are_as_a_shell_would_leave_them(connector):
    """A Python parent ignores SIGPIPE; a pipeline in a build must still end when its reader does."""
    result = await connector.run(Command(("grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"), deadline=10))
    changed = {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
    for line in result.text.splitlines():
        assert not int(line.split()[1], 16) & sum(1 << (number - 1) for number in changed), line


async def test_nothing_is_inherited_but_the_three_streams(connector):
    result = await connector.run(Command(("ls", "/proc/self/fd"), deadline=10))
    assert result.text.split() == ["0", "1", "2", "3"]  # 3 is ls reading the directory


async def test_secrets_are_in_no_argument_list(connector, mark):
    canary = "canary-5b1d"
    running = asyncio.ensure_future(
        connector.run(Command(("sleep", mark), deadline=60, env={"TOKEN": canary}, stdin=canary.encode()))
    )
    await appears(mark, 1)
    (command,) = family(mark)
    lines = [" ".join(process.cmdline()) for process in (command, command.parent())]
    assert not [line for line in lines if canary in line]
    assert canary not in str(command.parent().environ())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        (Command((), 1), RequestRefused),
        (Command(("",), 1), RequestRefused),
        (Command(("echo", "a\0b"), 1), RequestRefused),
        (Command(("echo",), 1, env={"A=B": "c"}), RequestRefused),
        (Command(("pwd",), 5, cwd="/no/such/place"), RequestRefused),
        (Command(("/etc/passwd",), 5), ProviderUnavailable),
        (Command(("echo", "x" * (1 << 20)), 5), ProviderUnavailable),
    ],
)
async def test_what_cannot_be_started_is_explained(connector, command, failure):
    with pytest.raises(failure):
        await connector.run(command)


async def test_nothing_stays_open(connector):
    await connector.run(Command(("true",), deadline=10))
    before, children = psutil.Process().num_fds(), set(psutil.Process().children())
    for _ in range(10):
        await connector.run(Command(("cat",), deadline=10, stdin=b"x"))
        with pytest.raises(ProviderUnavailable):
            await connector.run(Command(("orca-no-such-program",), deadline=10))
    assert psutil.Process().num_fds() == before
    assert set(psutil.Process().children()) <= children


async def test_the_observer_sees_every_command():
    seen: list[Command] = []
    connector = LocalConnector(seen.append)
    command = Command(("echo", "; rm -rf /"), deadline=10)
    await connector.run(command)
    assert seen == [command]


def source_root() -> Path:
    import orca

    return Path(orca.__file__).parents[1]
