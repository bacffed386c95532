# ruff: noqa: S101 - assertions are what a test suite is made of
"""The conformance suite of container hosts. The in-memory host is in `fake_host`.

A provider's author writes::

    class TestMyHost(ContainerHostConformance):
        @pytest.fixture
        async def host(self):
            async with MyHostProvider().open(MyConfig(...), connector) as host:
                yield host

        @pytest.fixture
        def image(self):
            return "sha256:…"

The image must be on the host and hold `true false echo sleep cat sh` (any busybox). What the suite creates, it removes.
The suite needs pytest and pytest-asyncio in `auto` mode.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from orca.errors import DeadlineExceeded, RequestRefused
from orca.sdk.containers import (
    Container,
    ContainerHost,
    ContainerSpec,
    SupportsExec,
    SupportsStats,
    SupportsTerminals,
)
from orca.sdk.terminals import Terminal, TerminalRequest, TerminalSize
from orca.sdk.testing.fake_host import FakeHost
from orca.sdk.testing.trials import STOPPED_SOON, ignore, reach_state
from orca.sdk.workloads import Attachment, LogLine, Mount, Privilege

__all__ = ["ContainerHostConformance", "FakeHost", "HostTrial"]


@dataclass(frozen=True, slots=True)
class HostTrial:
    """Containers of one test under unique names."""

    host: ContainerHost
    image: str
    id: str = field(default_factory=lambda: f"trial-{secrets.token_hex(4)}")

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all containers of this test."""
        return {"orca.trial": self.id}

    def spec(self, part: str, *command: str, **options: Any) -> ContainerSpec:
        """Return the spec of a container that sleeps, unless a command is passed."""
        return ContainerSpec(
            name=f"{self.id}-{part}",
            image=self.image,
            network=self.id,
            labels={**self.labels, "orca.part": part},
            command=command or ("sleep", "600"),
            stop_grace=1,
            **options,
        )

    async def make(self, *specs: ContainerSpec) -> list[Container]:
        """Plan and apply the specs, besides the existing containers."""
        wanted = {spec.name for spec in specs}
        current = [container for container in await self.inspect() if container.name in wanted]
        await self.host.apply(self.host.plan(current, specs))
        return await self.inspect()

    async def inspect(self) -> list[Container]:
        """Return all containers of this test."""
        return await self.host.inspect(self.labels)

    async def reach(self, spec: ContainerSpec, state: str) -> Container:
        """Wait until the container is in a state, and return it."""
        return await reach_state(self.inspect, spec.name, state)

    async def clean(self) -> None:
        """Remove everything that the test created."""
        for container in await self.inspect():
            await self.host.remove(container.id)
        await self.host.remove_network(self.id)
        for volume in await self.host.list_volumes(self.labels):
            await self.host.remove_volume(volume)


class ContainerHostConformance:
    """Subclass it and define the fixtures `host` and `image`."""

    @pytest.fixture
    async def trial(self, host: ContainerHost, image: str) -> AsyncIterator[HostTrial]:
        """Unique names, and nothing left behind."""
        trial = HostTrial(host, image)
        yield trial
        await trial.clean()

    async def test_it_says_who_it_is(self, host: ContainerHost) -> None:
        """The overview shows this."""
        info = await host.info()
        assert info.version
        assert info.cpus > 0
        assert info.memory_bytes > 0

    async def test_desired_containers_run(self, trial: HostTrial) -> None:
        """From nothing to running, with what was asked for."""
        (container,) = await trial.make(trial.spec("web"))
        assert container.state == "running"
        assert container.name == f"{trial.id}-web"
        assert container.labels["orca.part"] == "web"
        assert container.address
        assert container.started_at
        assert container.exit_code is None
        assert container.restarts == 0

    async def test_what_runs_is_left_alone(self, trial: HostTrial) -> None:
        """A plan for what is there already is empty."""
        spec = trial.spec("web")
        current = await trial.make(spec)
        assert trial.host.plan(current, [spec]) == []

    async def test_applying_twice_changes_nothing(self, trial: HostTrial) -> None:
        """A crash after the effect and before its record must not make a second container."""
        changes = trial.host.plan([], [trial.spec("web")])
        await trial.host.apply(changes)
        before = await trial.inspect()
        await trial.host.apply(changes)
        assert await trial.inspect() == before

    async def test_changes_describe_themselves(self, trial: HostTrial) -> None:
        """People read a plan before it is applied."""
        (container,) = await trial.make(trial.spec("old"))
        descriptions = [change.describe() for change in trial.host.plan([container], [trial.spec("new")])]
        assert any("new" in text for text in descriptions)
        assert any("old" in text for text in descriptions)

    async def test_what_is_not_desired_goes(self, trial: HostTrial) -> None:
        """The old container goes after the new one stands."""
        old = await trial.make(trial.spec("old"))
        await trial.host.apply(trial.host.plan(old, [trial.spec("new")]))
        assert [container.name for container in await trial.inspect()] == [f"{trial.id}-new"]

    async def test_a_stopped_container_keeps_its_address(self, trial: HostTrial) -> None:
        """The proxy's configuration stays valid over a restart, and no other container gets the address meanwhile."""
        spec = trial.spec("web")
        (container,) = await trial.make(spec)
        await trial.host.stop(container.id, grace=0)
        stopped = await trial.reach(spec, "exited")
        assert stopped.address == container.address
        everyone = await trial.make(trial.spec("other"))
        assert len({member.address for member in everyone}) == 2  # noqa: PLR2004
        await trial.make(spec)
        started = await trial.reach(spec, "running")
        assert (started.id, started.address) == (container.id, container.address)

    async def test_what_was_stopped_starts_where_it_stands(self, trial: HostTrial) -> None:
        """Once or twice makes no difference; what is gone cannot."""
        spec = trial.spec("web")
        (container,) = await trial.make(spec)
        await trial.host.stop(container.id, grace=0)
        await trial.host.start(spec.name)
        await trial.host.start(spec.name)
        assert (await trial.reach(spec, "running")).id == container.id
        await trial.host.remove(container.id)
        with pytest.raises(RequestRefused):
            await trial.host.start(spec.name)

    async def test_labels_select(self, trial: HostTrial) -> None:
        """An empty value matches any; another value, or a label that is missing, matches none."""
        await trial.make(trial.spec("a"), trial.spec("b"))
        names = {
            frozenset(container.name for container in await trial.host.inspect({**trial.labels, **wanted}))
            for wanted in ({"orca.part": ""}, {})
        }
        assert names == {frozenset({f"{trial.id}-a", f"{trial.id}-b"})}
        assert [container.name for container in await trial.host.inspect({**trial.labels, "orca.part": "a"})] == [
            f"{trial.id}-a"
        ]
        assert await trial.host.inspect({**trial.labels, "orca.part": "c"}) == []
        assert await trial.host.inspect({**trial.labels, "orca.other": ""}) == []

    async def test_stopping_and_removing_what_is_gone_is_no_error(self, trial: HostTrial) -> None:
        """Cleaning up twice is cleaning up."""
        (container,) = await trial.make(trial.spec("web"))
        await trial.host.stop(container.id, grace=0)
        await trial.host.stop(container.id, grace=0)
        await trial.host.remove(container.id)
        await trial.host.remove(container.id)
        await trial.host.stop(container.id, grace=0)
        await trial.host.remove_network(trial.id)
        await trial.host.remove_network(trial.id)
        assert await trial.inspect() == []

    async def test_a_missing_image_is_final(self, trial: HostTrial) -> None:
        """Trying again would change nothing."""
        missing = replace(trial.spec("web"), image=f"sha256:{'0' * 64}")
        with pytest.raises(RequestRefused):
            await trial.host.apply(trial.host.plan([], [missing]))
        assert await trial.host.find_image(missing.image) is None
        assert await trial.host.remove_image(missing.image) is False

    async def test_create_more_than_was_granted_is_refused(self, trial: HostTrial) -> None:
        """No layer above is trusted to have asked; a grant for what nothing may have changes nothing."""
        further = {"attachments": (Attachment("orca-other"),)}
        mighty = {"cap_add": ("SYS_ADMIN",), "grants": (Privilege("capability", "SYS_ADMIN"),)}
        for more in ({"cap_add": ("NET_ADMIN",)}, further, mighty):
            with pytest.raises(RequestRefused):
                await trial.make(trial.spec("web", **more))
            with pytest.raises(RequestRefused):
                await trial.host.run_once(trial.spec("once", "true", **more), deadline=60, progress=ignore)
        assert await trial.inspect() == []

    async def test_an_image_in_use_stays(self, trial: HostTrial) -> None:
        """The live release cannot lose its image."""
        await trial.make(trial.spec("web"))
        assert await trial.host.remove_image(trial.image) is False
        found = await trial.host.find_image(trial.image)
        assert found is not None
        assert found.size_bytes > 0

    async def test_a_run_gives_its_lines_and_its_exit_code(self, trial: HostTrial) -> None:
        """The release command's verdict."""
        lines: list[str] = []

        async def progress(line: str) -> None:
            lines.append(line)

        said = trial.spec("said", "echo", "two words", "ü")
        assert await trial.host.run_once(said, deadline=60, progress=progress) == 0
        assert lines == ["two words ü"]
        assert await trial.host.run_once(trial.spec("bad", "false"), deadline=60, progress=progress) == 1

    async def test_a_run_never_happens_twice(self, trial: HostTrial) -> None:
        """A migration that ran is reported, not repeated."""
        spec = trial.spec("migrate", "false")
        assert await trial.host.run_once(spec, deadline=60, progress=ignore) == 1
        (before,) = await trial.inspect()
        assert await trial.host.run_once(spec, deadline=60, progress=ignore) == 1
        assert await trial.inspect() == [before]

    async def test_a_running_run_is_joined(self, trial: HostTrial) -> None:
        """A second caller waits for the same container."""
        spec = trial.spec("migrate", "sleep", "2")
        first = asyncio.ensure_future(trial.host.run_once(spec, deadline=60, progress=ignore))
        running = await trial.reach(spec, "running")
        assert await trial.host.run_once(spec, deadline=60, progress=ignore) == 0
        assert await first == 0
        assert [container.id for container in await trial.inspect()] == [running.id]

    async def test_a_run_ends_at_its_deadline(self, trial: HostTrial) -> None:
        """Nothing runs longer than it may."""
        spec = trial.spec("migrate")
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await trial.host.run_once(spec, deadline=2, progress=ignore)
        assert time.monotonic() - begun < STOPPED_SOON
        (container,) = await trial.inspect()
        assert container.state == "exited"

    async def test_a_cancelled_run_is_killed(self, trial: HostTrial) -> None:
        """Cancel means that the work stops."""
        spec = trial.spec("migrate")
        running = asyncio.ensure_future(trial.host.run_once(spec, deadline=600, progress=ignore))
        await trial.reach(spec, "running")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        (container,) = await trial.inspect()
        assert container.state == "exited"

    async def test_logs_can_be_read_and_followed(self, trial: HostTrial) -> None:
        """The tail first, then the end of the stream when the container ends."""
        spec = trial.spec("said", "echo", "one\ntwo\nthree")
        assert await trial.host.run_once(spec, deadline=60, progress=ignore) == 0
        (container,) = await trial.inspect()
        for follow in (False, True):
            lines = [line async for line in trial.host.logs(container.id, tail=2, follow=follow)]
            assert [(line.stream, line.text) for line in lines] == [("stdout", "two"), ("stdout", "three")]

    async def test_following_ends_with_the_container(self, trial: HostTrial) -> None:
        """A follower is not left waiting."""
        (container,) = await trial.make(trial.spec("web"))

        async def follow() -> list[LogLine]:
            return [line async for line in trial.host.logs(container.id, tail=10, follow=True)]

        following = asyncio.ensure_future(follow())
        await asyncio.sleep(0.3)
        assert not following.done()
        await trial.host.stop(container.id, grace=0)
        assert await asyncio.wait_for(following, STOPPED_SOON) == []

    async def test_a_follower_may_leave(self, trial: HostTrial) -> None:
        """Closing the page must not leave a stream behind."""
        (container,) = await trial.make(trial.spec("chatty", "sleep", "600"))
        lines = trial.host.logs(container.id, tail=10, follow=True)
        async with aclosing(lines):  # type: ignore[type-var] # every host's stream is a generator
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(lines), 0.5)

    async def test_volumes_outlive_containers(self, trial: HostTrial) -> None:
        """Data goes by a separate, explicit act only."""
        name = f"{trial.id}-data"
        (container,) = await trial.make(trial.spec("db", mounts=(Mount(name, "/data"),)))
        assert await trial.host.list_volumes(trial.labels) == [name]
        with pytest.raises(RequestRefused):
            await trial.host.remove_volume(name)
        await trial.host.remove(container.id)
        assert await trial.host.list_volumes(trial.labels) == [name]
        await trial.host.remove_volume(name)
        assert await trial.host.list_volumes(trial.labels) == []

    async def test_a_network_in_use_stays(self, trial: HostTrial) -> None:
        """A stopped container uses its network too: it could not start again without."""
        spec = trial.spec("web")
        (container,) = await trial.make(spec)
        await trial.host.stop(container.id, grace=0)
        await trial.reach(spec, "exited")
        with pytest.raises(RequestRefused):
            await trial.host.remove_network(trial.id)

    async def test_commands_run_inside(self, trial: HostTrial) -> None:
        """Arguments arrive as they are; a command that takes too long is killed. Optional ability."""
        (container,) = await trial.make(trial.spec("web"))
        if not isinstance(trial.host, SupportsExec):
            return
        hostile = "a b;c|d`e`$(f)'\"\\"
        result = await trial.host.exec(container.id, ("echo", hostile), deadline=30)
        assert (result.exit_code, result.text) == (0, hostile)
        assert (await trial.host.exec(container.id, ("false",), deadline=30)).exit_code == 1
        with pytest.raises(DeadlineExceeded):
            await trial.host.exec(container.id, ("sleep", "600"), deadline=1)

    async def test_a_terminal_carries_every_byte(self, trial: HostTrial) -> None:
        """Input and output are bytes, and the process sees where its input ends. Optional ability."""
        (container,) = await trial.make(trial.spec("web"))
        if not isinstance(trial.host, SupportsTerminals):
            return
        request, content = TerminalRequest(("cat",)), bytes(range(256)) * 64
        terminal_id = await trial.host.prepare_terminal(container.id, request)
        async with asyncio.timeout(30), trial.host.open_terminal(container.id, terminal_id, request) as terminal:
            await terminal.write(content)
            await terminal.close_input()
            assert await read_all(terminal) == content
            assert await terminal.wait() == 0

    async def test_a_terminal_has_a_size_and_an_exit_code(self, trial: HostTrial) -> None:
        """A shell on a pseudo-terminal ends with the code that it was left with. Optional ability."""
        (container,) = await trial.make(trial.spec("web"))
        if not isinstance(trial.host, SupportsTerminals):
            return
        request = TerminalRequest(("sh",), TerminalSize(100, 30))
        terminal_id = await trial.host.prepare_terminal(container.id, request)
        async with asyncio.timeout(30), trial.host.open_terminal(container.id, terminal_id, request) as terminal:
            await terminal.resize(TerminalSize(120, 40))
            await terminal.write(b"exit 1\n")
            assert b"exit 1" in await read_all(terminal)
            assert await terminal.wait() == 1

    async def test_a_terminal_that_is_left_leaves_nothing(self, trial: HostTrial) -> None:
        """The process ends with the context. Optional ability."""
        (container,) = await trial.make(trial.spec("web"))
        if not isinstance(trial.host, SupportsTerminals):
            return
        request = TerminalRequest(("sleep", "600"), TerminalSize())
        terminal_id = await trial.host.prepare_terminal(container.id, request)
        async with asyncio.timeout(30):
            async with trial.host.open_terminal(container.id, terminal_id, request):
                pass
            assert await trial.host.end_terminal(container.id, terminal_id)

    async def test_use_can_be_measured(self, trial: HostTrial) -> None:
        """Optional ability."""
        (container,) = await trial.make(trial.spec("web"))
        if not isinstance(trial.host, SupportsStats):
            return
        cores, memory = await trial.host.stats(container.id)
        assert 0 <= cores < 1
        assert 0 < memory < 1 << 30


async def read_all(terminal: Terminal) -> bytes:
    """Return the output of a process to its end."""
    output = b""
    while (part := await terminal.read()) is not None:
        output += part[1]
    return output
