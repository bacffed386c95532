"""Commands inside containers, and what runs to its end: killed when they must be, never repeated."""

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

import orca
from orca.errors import DeadlineExceeded, RequestRefused
from orca.providers.connectors.local import LocalConnector
from orca.sdk.connectors import Command, CommandResult
from orca.sdk.terminals import TerminalRequest, TerminalSize
from orca.sdk.testing.containers import HostTrial, read_all

pytestmark = pytest.mark.docker


class Powerless(LocalConnector):
    """A machine on which Orca is an ordinary user."""

    async def run(self, command, on_output=None):
        argv = ("setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", *command.argv)
        return await super().run(Command(argv, command.deadline), on_output)


class Elsewhere(LocalConnector):
    """A machine whose process ids are not the engine's."""

    async def run(self, command, on_output=None):
        if command.argv[0] == "cat" and "net" not in command.argv[1]:
            return CommandResult(1, b"", b"")
        return await super().run(command, on_output)


async def sleepers(trial, container):
    """What sleeps in a container besides its first process."""
    result = await trial.host.exec(container.id, ("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), deadline=20)
    return result.text.count("sleep 54321")


FAMILY = ("sh", "-c", "trap '' TERM; sleep 54321 & sleep 54321")


@pytest.fixture
async def worker(open_host, image):
    """A container through a connector of the test's choice."""
    trials = []

    async def open_worker(connector):
        trial = HostTrial(await open_host(connector), image)
        trials.append(trial)
        (container,) = await trial.make(trial.spec("web"))
        return trial, container

    yield open_worker
    for trial in trials:
        await trial.clean()


@pytest.fixture(params=[LocalConnector, Powerless])
def connector(request):
    return request.param()


async def test_a_family_of_processes_is_killed_at_the_deadline(worker, connector):
    trial, container = await worker(connector)
    with pytest.raises(DeadlineExceeded, match="was killed"):
        await trial.host.exec(container.id, FAMILY, deadline=1)
    assert await sleepers(trial, container) == 0
    assert (await trial.inspect())[0].restarts == 0


async def test_a_family_of_processes_is_killed_on_cancellation(worker, connector):
    trial, container = await worker(connector)
    running = asyncio.ensure_future(trial.host.exec(container.id, FAMILY, deadline=60))
    async with asyncio.timeout(20):
        while await sleepers(trial, container) < 2:  # noqa: ASYNC110 - the engine sets no event
            await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await sleepers(trial, container) == 0


async def test_what_cannot_be_killed_is_admitted(worker):
    trial, container = await worker(Elsewhere())
    with pytest.raises(DeadlineExceeded, match="could not be killed") as failure:
        await trial.host.exec(container.id, FAMILY, deadline=1)
    assert "restart the container" in failure.value.hint


async def test_both_streams_and_the_exit_code(trial):
    (container,) = await trial.make(trial.spec("web"))
    result = await trial.host.exec(container.id, ("sh", "-c", "echo out; echo err >&2; exit 42"), deadline=20)
    assert result == CommandResult(42, b"out\n", b"err\n")


async def test_the_end_of_much_output_is_kept(trial):
    (container,) = await trial.make(trial.spec("web"))
    result = await trial.host.exec(container.id, ("sh", "-c", "head -c 20000000 /dev/zero; echo the end"), deadline=60)
    assert len(result.stdout) == 1 << 20
    assert result.stdout.endswith(b"the end\n")


async def test_a_missing_program_is_an_exit_code(trial):
    (container,) = await trial.make(trial.spec("web"))
    assert (await trial.host.exec(container.id, ("no-such-program",), deadline=20)).exit_code in {126, 127}


async def test_a_container_that_does_not_run_is_refused(trial):
    spec = trial.spec("web")
    (container,) = await trial.make(spec)
    await trial.host.stop(container.id, grace=0)
    with pytest.raises(RequestRefused):
        await trial.host.exec(container.id, ("true",), deadline=20)
    with pytest.raises(RequestRefused):
        await trial.host.stats(container.id)
    await trial.host.remove(container.id)
    with pytest.raises(RequestRefused):
        await trial.host.exec(container.id, ("true",), deadline=20)


async def test_a_busy_core_is_measured(trial):
    """Between idle and its limit; how near to the limit depends on what else the machine does."""
    (container,) = await trial.make(trial.spec("busy", "sh", "-c", "while :; do :; done", cpus=0.5))
    await asyncio.sleep(1)
    first, _ = await trial.host.stats(container.id)
    await asyncio.sleep(1)
    second, memory = await trial.host.stats(container.id)
    assert 0.02 < first <= 0.8
    assert 0.02 < second <= 0.6
    assert memory > 0
    idle = next(each for each in await trial.make(trial.spec("idle")) if each.name.endswith("idle"))
    await asyncio.sleep(0.5)
    assert (await trial.host.stats(idle.id))[0] < 0.02


CALLER = """
import asyncio
from orca.providers.connectors.local import LocalConnector
from orca.providers.engines.docker import DockerHostProvider
from orca.sdk.terminals import TerminalRequest, TerminalSize
from orca.sdk.testing.containers import HostTrial, read_all

async def progress(line):
    print(line, flush=True)

async def main():
    provider = DockerHostProvider()
    async with provider.open(provider.Config(instance={instance!r}), LocalConnector()) as engine:
        trial = HostTrial(engine, {image!r}, {trial!r})
        await engine.run_once(trial.spec("migrate", *{command!r}), deadline=600, progress=progress)

asyncio.run(main())
"""


async def test_a_run_survives_its_caller(trial, instance, image, tmp_path):
    """The caller's process is killed; the next one finds the same container and its verdict."""
    command = ("sh", "-c", "echo begun; sleep 4; echo finished; exit 5")
    script = tmp_path / "caller.py"
    script.write_text(textwrap.dedent(CALLER).format(instance=instance, image=image, trial=trial.id, command=command))
    caller = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(orca.__file__).parents[1])},
    )
    assert await asyncio.wait_for(caller.stdout.readline(), 30) == b"begun\n"
    caller.send_signal(signal.SIGKILL)
    await caller.wait()
    (before,) = await trial.inspect()
    assert before.state == "running"
    lines = []

    async def progress(line):
        lines.append(line)

    assert await trial.host.run_once(trial.spec("migrate", *command), deadline=60, progress=progress) == 5
    (after,) = await trial.inspect()
    assert (after.id, after.started_at) == (before.id, before.started_at)
    assert lines == ["begun", "finished"]


async def test_a_run_that_was_created_but_not_started_is_started(trial):
    spec = trial.spec("migrate", "echo", "once", restart="no")
    await trial.host.apply(trial.host.plan([], [spec])[:1])
    assert (await trial.inspect())[0].state == "created"
    lines = []

    async def progress(line):
        lines.append(line)

    assert await trial.host.run_once(spec, deadline=30, progress=progress) == 0
    assert lines == ["once"]


async def test_cancelling_at_any_moment_leaves_nothing_running(trial):
    async def progress(_line):
        pass

    for number, delay in enumerate((0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)):
        running = asyncio.ensure_future(trial.host.run_once(trial.spec(f"{number}"), deadline=600, progress=progress))
        await asyncio.sleep(delay)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert {container.state for container in await trial.inspect()} <= {"created", "exited"}


async def test_a_failing_listener_leaves_the_run_alone(trial):
    spec = trial.spec("migrate", "sh", "-c", "echo line; sleep 1; exit 9")

    async def progress(_line):
        raise OSError("disk full")

    async def ignore(_line):
        pass

    with pytest.raises(OSError, match="disk full"):
        await trial.host.run_once(spec, deadline=60, progress=progress)
    assert await trial.host.run_once(spec, deadline=60, progress=ignore) == 9


async def test_logs_tell_streams_and_times_and_keep_long_lines_whole(trial):
    script = "echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf unfinished"
    spec = trial.spec("talk", "sh", "-c", script, restart="no")
    await trial.make(spec)
    container = await trial.reach(spec, "exited")
    lines = [line async for line in trial.host.logs(container.id, tail=10, follow=True)]
    assert sorted((line.stream, len(line.text)) for line in lines) == [
        ("stderr", 3),
        ("stdout", 3),
        ("stdout", 10),
        ("stdout", 40_000),
    ]
    moments = [line.at for line in lines if line.stream == "stdout"]
    assert moments == sorted(moments)
    assert all(abs((line.at - container.started_at).total_seconds()) < 10 for line in lines)


async def test_many_lines_come_quickly_and_in_order(trial):
    spec = trial.spec(
        "flood", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done", restart="no"
    )
    await trial.make(spec)
    container = await trial.reach(spec, "exited")
    async with asyncio.timeout(20):
        lines = [line.text async for line in trial.host.logs(container.id, tail=100_000, follow=False)]
    assert lines == [f"line {number}" for number in range(20_000)]


async def test_a_terminal_that_is_left_takes_its_family_along(worker, connector):
    trial, container = await worker(connector)
    request = TerminalRequest(("sh",), TerminalSize())
    terminal_id = await trial.host.prepare_terminal(container.id, request)
    async with asyncio.timeout(30):
        async with trial.host.open_terminal(container.id, terminal_id, request) as terminal:
            await terminal.write(b"trap '' HUP TERM; sleep 54321 & sleep 54321 & exit\n")
            while await terminal.read() is not None:
                pass
        assert await sleepers(trial, container) == 0
        assert await trial.host.end_terminal(container.id, terminal_id)


async def test_a_terminal_of_a_caller_that_died_is_ended_by_its_id(worker, connector):
    trial, container = await worker(connector)
    request = TerminalRequest(FAMILY, TerminalSize())
    terminal_id = await trial.host.prepare_terminal(container.id, request)
    async with asyncio.timeout(30), trial.host.open_terminal(container.id, terminal_id, request):
        while await sleepers(trial, container) < 2:  # noqa: ASYNC110 - the engine sets no event
            await asyncio.sleep(0.1)
        assert await trial.host.end_terminal(container.id, terminal_id)
        assert await sleepers(trial, container) == 0


async def test_a_terminal_has_both_streams_and_the_size_that_it_was_given(trial):
    (container,) = await trial.make(trial.spec("web"))
    pipes = TerminalRequest(("sh", "-c", "echo out; echo err >&2; exit 42"))
    terminal_id = await trial.host.prepare_terminal(container.id, pipes)
    async with asyncio.timeout(30), trial.host.open_terminal(container.id, terminal_id, pipes) as terminal:
        parts = [await terminal.read(), await terminal.read(), await terminal.read()]
        assert (sorted(parts[:2]), parts[2]) == ([("stderr", b"err\n"), ("stdout", b"out\n")], None)
        assert await terminal.wait() == 42
    screen = TerminalRequest(("sh", "-c", "read x; busybox stty size"), TerminalSize(100, 30))
    terminal_id = await trial.host.prepare_terminal(container.id, screen)
    async with asyncio.timeout(30), trial.host.open_terminal(container.id, terminal_id, screen) as terminal:
        await terminal.resize(TerminalSize(132, 50))
        await terminal.write(b"\n")
        assert b"50 132" in await read_all(terminal)


async def test_a_terminal_without_its_program_ends(trial):
    (container,) = await trial.make(trial.spec("web"))
    request = TerminalRequest(("no-such-program",), TerminalSize())
    terminal_id = await trial.host.prepare_terminal(container.id, request)
    async with asyncio.timeout(30), trial.host.open_terminal(container.id, terminal_id, request) as terminal:
        assert b"no-such-program" in await read_all(terminal)
        assert await terminal.wait() in {126, 127}
