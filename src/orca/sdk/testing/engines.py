# ruff: noqa: S101 - assertions are what a test suite is made of
"""The conformance suite of engines. The in-memory engine is in `fake_engine`.

A provider's author writes::

    class TestMyEngine(EngineConformance):
        @pytest.fixture
        async def engine(self):
            async with MyEngineProvider().open(MyConfig(...), connector, None) as engine:
                yield engine

        @pytest.fixture
        def image(self):
            return "sha256:…"

The image must be there already and hold `true false echo sleep sh` (any busybox). What the suite creates, it removes.
The suite needs pytest and pytest-asyncio in `auto` mode.
"""

import asyncio
import copy
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from orca.errors import DeadlineExceeded, RequestRefused
from orca.sdk.engines import Engine, SupportsExec, SupportsTerminals
from orca.sdk.terminals import TerminalRequest, TerminalSize
from orca.sdk.testing.fake_engine import FakeEngine
from orca.sdk.testing.trials import STOPPED_SOON, ignore, reach_state
from orca.sdk.workloads import (
    Attachment,
    Device,
    HostFolder,
    LogLine,
    Privilege,
    PublishedPort,
    Replica,
    Ulimit,
    Workload,
)

__all__ = ["EngineConformance", "FakeEngine", "Trial"]


@dataclass(frozen=True, slots=True)
class Trial:
    """Workloads of one test under unique names."""

    engine: Engine
    image: str
    id: str = field(default_factory=lambda: f"trial-{secrets.token_hex(4)}")

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all workloads of this test."""
        return {"orca.trial": self.id}

    def workload(self, part: str, *command: str, **options: Any) -> Workload:
        """Return a workload that sleeps, unless a command is passed."""
        return Workload(
            name=f"{self.id}-{part}", image=self.image, network=self.id, labels={**self.labels, "orca.part": part},
            command=command or ("sleep", "600"), stop_grace=1, **options,
        )  # fmt: skip

    async def run(self, workload: Workload) -> list[Replica]:
        """Plan and apply a workload, from what is there of it; return its replicas in their order."""
        await self.engine.apply(self.engine.plan(await self.of(workload), workload))
        return await self.of(workload)

    async def of(self, workload: Workload) -> list[Replica]:
        """Return the replicas of a workload in their order."""
        return _in_order(await self.engine.observe(workload.labels))

    async def observe(self) -> list[Replica]:
        """Return everything that this test started."""
        return await self.engine.observe(self.labels, runs=True)

    async def reach(self, name: str, *states: str) -> Replica:
        """Wait until the replica or run of this name is in one of the states, and return it."""
        return await reach_state(self.observe, name, *states)

    async def clean(self) -> None:
        """Remove everything that the test started."""
        for replica in await self.observe():
            await self.engine.remove(replica)
        await self.engine.remove_network(self.id)


def _in_order(replicas: Sequence[Replica]) -> list[Replica]:
    return sorted(replicas, key=lambda replica: -1 if replica.index is None else replica.index)


class EngineConformance:
    """Subclass it and define the fixtures `engine` and `image`."""

    @pytest.fixture
    async def trial(self, engine: Engine, image: str) -> AsyncIterator[Trial]:
        """Unique names, and nothing left behind."""
        trial = Trial(engine, image)
        yield trial
        await trial.clean()

    async def test_check_engine_up_passes(self, engine: Engine) -> None:
        """Everything else would fail as well."""
        await engine.check()

    async def test_apply_nothing_there_every_replica_runs(self, trial: Trial) -> None:
        """With the labels and the numbers of the workload, and names of their own."""
        workload = trial.workload("web", replicas=2)
        await trial.run(workload)
        replicas = await trial.of(workload)
        assert [replica.index for replica in replicas] == [0, 1]
        assert len({replica.id for replica in replicas}) == len({replica.name for replica in replicas}) == 2  # noqa: PLR2004
        for replica in replicas:
            seen = await trial.reach(replica.name, "running")
            assert seen.labels["orca.part"] == "web"
            assert seen.started_at
            assert (seen.exit_code, seen.restarts) == (None, 0)

    async def test_plan_all_run_changes_nothing(self, trial: Trial) -> None:
        """A replica that runs is left alone."""
        workload = trial.workload("web", replicas=2)
        assert trial.engine.plan(await trial.run(workload), workload) == []

    async def test_plan_is_pure(self, trial: Trial) -> None:
        """The same answer each time, and nothing has happened."""
        workload = trial.workload("web")
        first, second = (trial.engine.plan([], copy.deepcopy(workload)) for _ in range(2))
        assert [change.describe() for change in first] == [change.describe() for change in second]
        assert await trial.observe() == []

    async def test_plan_unknown_state_is_left_alone(self, trial: Trial) -> None:
        """A failed observation is no reason to act."""
        workload = trial.workload("web")
        (replica,) = await trial.run(workload)
        assert trial.engine.plan([replace(replica, state="unknown")], workload) == []

    async def test_apply_twice_changes_nothing(self, trial: Trial) -> None:
        """A crash after the effect and before its record must not make a second replica."""
        workload = trial.workload("web")
        changes = trial.engine.plan([], workload)
        await trial.engine.apply(changes)
        before = [replica.id for replica in await trial.of(workload)]
        await trial.engine.apply(changes)
        assert [replica.id for replica in await trial.of(workload)] == before

    async def test_apply_more_replicas_keeps_those_that_run(self, trial: Trial) -> None:
        """Scaling up adds."""
        workload = trial.workload("web")
        (first,) = await trial.run(workload)
        replicas = await trial.run(replace(workload, replicas=3))
        assert [replica.index for replica in replicas] == [0, 1, 2]
        assert replicas[0].id == first.id

    async def test_apply_fewer_replicas_removes_the_last(self, trial: Trial) -> None:
        """Scaling down removes those that were passed in as current."""
        workload = trial.workload("web", replicas=3)
        before = await trial.run(workload)
        after = await trial.run(replace(workload, replicas=1))
        assert [replica.id for replica in after] == [before[0].id]

    async def test_apply_new_workload_old_one_stays(self, trial: Trial) -> None:
        """The old release serves until the caller removes it."""
        (old,) = await trial.run(trial.workload("old"))
        await trial.run(trial.workload("new"))
        assert [replica.id for replica in await trial.of(trial.workload("old"))] == [old.id]
        await trial.engine.remove(old)
        assert await trial.of(trial.workload("old")) == []

    async def test_changes_describe_themselves(self, trial: Trial) -> None:
        """People read a plan before it is applied."""
        current = await trial.run(trial.workload("old"))
        descriptions = [change.describe() for change in trial.engine.plan(current, trial.workload("new"))]
        assert any("new" in text for text in descriptions)
        assert any("old" in text for text in descriptions)

    async def test_start_stopped_replica_runs_where_it_was(self, trial: Trial) -> None:
        """The proxy's configuration stays valid. Once or twice makes no difference; what is gone cannot start."""
        (replica,) = await trial.run(trial.workload("web"))
        await trial.engine.stop(replica, grace=0)
        await trial.reach(replica.name, "exited")
        await trial.engine.start(replica)
        await trial.engine.start(replica)
        started = await trial.reach(replica.name, "running")
        assert (started.id, started.address) == (replica.id, replica.address)
        await trial.engine.remove(replica)
        with pytest.raises(RequestRefused):
            await trial.engine.start(replica)

    async def test_plan_stopped_replica_starts_it(self, trial: Trial) -> None:
        """No second one beside it."""
        workload = trial.workload("web")
        (replica,) = await trial.run(workload)
        await trial.engine.stop(replica)
        await trial.reach(replica.name, "exited")
        assert [again.id for again in await trial.run(workload)] == [replica.id]
        await trial.reach(replica.name, "running")

    async def test_stop_and_remove_what_is_gone_is_no_error(self, trial: Trial) -> None:
        """Cleaning up twice is cleaning up."""
        (replica,) = await trial.run(trial.workload("web"))
        for act in (trial.engine.stop, trial.engine.stop, trial.engine.remove, trial.engine.remove, trial.engine.stop):
            await act(replica)
        await trial.engine.remove_network(trial.id)
        await trial.engine.remove_network(trial.id)
        assert await trial.observe() == []

    async def test_observe_labels_select(self, trial: Trial) -> None:
        """An empty value matches any; another value, or a label that is missing, matches none."""
        await trial.run(trial.workload("a"))
        await trial.run(trial.workload("b"))
        for look in (trial.engine.observe, trial.engine.survey):
            found = {
                value: sorted(
                    replica.labels["orca.part"] for replica in await look({**trial.labels, "orca.part": value})
                )
                for value in ("", "a", "c")
            }
            assert found == {"": ["a", "b"], "a": ["a"], "c": []}
            assert await look({**trial.labels, "orca.other": ""}) == []

    async def test_apply_missing_image_is_refused(self, trial: Trial) -> None:
        """Trying again would change nothing."""
        missing = replace(trial.workload("web"), image=f"sha256:{'0' * 64}")
        with pytest.raises(RequestRefused):
            await trial.engine.apply(trial.engine.plan([], missing))

    @pytest.mark.parametrize("more", [
        {"cap_add": ("NET_ADMIN",)}, {"cap_add": ("SYS_ADMIN",), "grants": (Privilege("capability", "SYS_ADMIN"),)},
        {"published": (PublishedPort(80, 8080),)}, {"devices": (Device("/dev/dri"),)},
        {"sysctls": {"kernel.panic": "1"}, "grants": (Privilege("sysctl", "kernel.panic"),)},
        {"ulimits": (Ulimit("rtprio", 99, 99),)}, {"attachments": (Attachment("orca-other"),)},
        {"host_folders": (HostFolder("/srv", "/srv"),)},
        {"host_folders": (HostFolder("/srv/../etc", "/srv"),), "grants": (Privilege("host.path", "/etc"),)},
    ], ids=["capability", "too-mighty", "port", "device", "sysctl", "ulimit", "network", "folder",
      "etc"])  # fmt: skip
    async def test_apply_more_than_was_granted_is_refused(self, trial: Trial, more: dict[str, Any]) -> None:
        """Whatever let it come so far, and nothing was started."""
        workload = trial.workload("web", **more)
        with pytest.raises(RequestRefused):
            await trial.engine.apply(trial.engine.plan([], workload))
        with pytest.raises(RequestRefused):
            await trial.engine.run_once(trial.workload("once", "true", **more), deadline=60, progress=ignore)
        assert await trial.observe() == []

    async def test_remove_network_in_use_is_refused(self, trial: Trial) -> None:
        """A stopped replica uses its network too: it could not start again without."""
        (replica,) = await trial.run(trial.workload("web"))
        await trial.engine.stop(replica, grace=0)
        with pytest.raises(RequestRefused):
            await trial.engine.remove_network(trial.id)

    async def test_remove_network_of_an_attachment_is_refused_until_the_replica_is_gone(self, trial: Trial) -> None:
        """Further networks are made as needed, and go like the first one."""
        further = f"{trial.id}-back"
        (replica,) = await trial.run(trial.workload("web", attachments=(Attachment(further, ("web",)),)))
        with pytest.raises(RequestRefused):
            await trial.engine.remove_network(further)
        await trial.engine.remove(replica)
        await trial.engine.remove_network(further)
        await trial.engine.remove_network(further)

    async def test_run_once_returns_code_and_lines(self, trial: Trial) -> None:
        """The release command's found. A run is no replica."""
        lines: list[str] = []

        async def progress(line: str) -> None:
            lines.append(line)

        said = trial.workload("said", "echo", "two words", "ü")
        assert await trial.engine.run_once(said, deadline=60, progress=progress) == 0
        assert lines == ["two words ü"]
        assert await trial.engine.run_once(trial.workload("bad", "false"), deadline=60, progress=progress) == 1
        assert await trial.engine.observe(trial.labels) == []
        assert [replica.index for replica in await trial.observe()] == [None, None]

    async def test_run_once_again_never_runs_twice(self, trial: Trial) -> None:
        """A migration that ran is reported, not repeated; one that runs is joined."""
        failed = trial.workload("failed", "false")
        assert await trial.engine.run_once(failed, deadline=60, progress=ignore) == 1
        before = await trial.observe()
        assert await trial.engine.run_once(failed, deadline=60, progress=ignore) == 1
        assert await trial.observe() == before
        slow = trial.workload("slow", "sleep", "2")
        first = asyncio.ensure_future(trial.engine.run_once(slow, deadline=60, progress=ignore))
        running = await trial.reach(slow.name, "running")
        assert await trial.engine.run_once(slow, deadline=60, progress=ignore) == 0
        assert await first == 0
        assert [replica.id for replica in await trial.observe() if replica.name == slow.name] == [running.id]

    async def test_run_once_deadline_kills_it(self, trial: Trial) -> None:
        """Nothing runs longer than it may."""
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await trial.engine.run_once(trial.workload("migrate"), deadline=2, progress=ignore)
        assert time.monotonic() - begun < STOPPED_SOON
        assert [replica.state for replica in await trial.observe()] == ["exited"]

    async def test_run_once_cancelled_is_killed(self, trial: Trial) -> None:
        """Cancel means that the work stops."""
        workload = trial.workload("migrate")
        running = asyncio.ensure_future(trial.engine.run_once(workload, deadline=600, progress=ignore))
        await trial.reach(workload.name, "running")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert [replica.state for replica in await trial.observe()] == ["exited"]

    async def test_logs_tail_and_follow_end_with_the_replica(self, trial: Trial) -> None:
        """The tail first, then the end of the stream when nothing runs any more."""
        said = trial.workload("said", "echo", "one\ntwo\nthree")
        assert await trial.engine.run_once(said, deadline=60, progress=ignore) == 0
        (run,) = await trial.observe()
        for follow in (False, True):
            lines = [line async for line in trial.engine.logs(run, tail=2, follow=follow)]
            assert [(line.stream, line.text) for line in lines] == [("stdout", "two"), ("stdout", "three")]
        (replica,) = await trial.run(trial.workload("web"))
        following = asyncio.ensure_future(_read(trial.engine, replica))
        await asyncio.sleep(0.3)
        assert not following.done()
        await trial.engine.stop(replica, grace=0)
        assert await asyncio.wait_for(following, STOPPED_SOON) == []

    async def test_logs_follower_leaves_at_once(self, trial: Trial) -> None:
        """Closing the page must not leave a stream behind."""
        (replica,) = await trial.run(trial.workload("web"))
        lines = trial.engine.logs(replica, tail=10, follow=True)
        async with aclosing(lines):  # type: ignore[type-var] # every engine's stream is a generator
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(lines), 0.5)

    async def test_exec_runs_inside(self, trial: Trial) -> None:
        """Arguments arrive as they are; a command that takes too long is killed. Optional ability."""
        (replica,) = await trial.run(trial.workload("web"))
        if not isinstance(trial.engine, SupportsExec):
            return
        hostile = "a b;c|d`e`$(f)'\"\\"
        result = await trial.engine.exec(replica, ("echo", hostile), deadline=30)
        assert (result.exit_code, result.text) == (0, hostile)
        assert (await trial.engine.exec(replica, ("false",), deadline=30)).exit_code == 1
        with pytest.raises(DeadlineExceeded):
            await trial.engine.exec(replica, ("sleep", "600"), deadline=1)

    async def test_terminal_shell_ends_with_its_code(self, trial: Trial) -> None:
        """What is typed arrives, and nothing is left afterwards. Optional ability."""
        (replica,) = await trial.run(trial.workload("web"))
        if not isinstance(trial.engine, SupportsTerminals):
            return
        request = TerminalRequest(("sh",), TerminalSize())
        terminal_id = await trial.engine.prepare_terminal(replica, request)
        async with asyncio.timeout(30), trial.engine.open_terminal(replica, terminal_id, request) as terminal:
            await terminal.write(b"exit 1\n")
            while await terminal.read() is not None:
                pass
            assert await terminal.wait() == 1
        assert await trial.engine.end_terminal(replica.id, terminal_id)


async def _read(engine: Engine, replica: Replica) -> list[LogLine]:
    return [line async for line in engine.logs(replica, tail=10, follow=True)]
