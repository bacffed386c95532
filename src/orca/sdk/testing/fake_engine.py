"""An in-memory engine, for tests of code that uses engines, and as the smallest example of one.

Processes run for ever unless their command is `true`, `false`, `echo …` or `sleep N`. Tests cause events by `crash` and
`down`. It knows nothing of containers: that one must pass the same suite keeps them out of the contract.
"""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from orca.errors import ProviderUnavailable, RequestRefused
from orca.sdk.connectors import CommandResult, Connector
from orca.sdk.plans import Change
from orca.sdk.privileges import check_privileges
from orca.sdk.terminals import Terminal, TerminalRequest
from orca.sdk.testing.fake_process import FakeProcess, run_inside
from orca.sdk.testing.fake_terminal import FakeTerminals
from orca.sdk.workloads import LogLine, Progress, Replica, Workload

if TYPE_CHECKING:
    from orca.sdk.containers import ContainerHost

_LEFT_ALONE = {"running", "restarting", "unknown"}


@dataclass(frozen=True, slots=True)
class FakeChange:
    """`run` a replica of a workload, or `remove` one."""

    verb: str
    name: str
    workload: Workload | None = None
    index: int | None = None

    def describe(self) -> str:
        """For people."""
        return f"{self.verb} {self.name}"


_Process = FakeProcess[Workload, Replica]


class FakeEngine:
    """A complete in-memory engine. `down` makes every call raise ProviderUnavailable."""

    def __init__(self, images: Sequence[str] = ()) -> None:
        self.down = False
        self.images = set(images)
        self.terminals = FakeTerminals()
        self._processes: dict[str, _Process] = {}
        self._numbers = itertools.count(1)

    def crash(self, name: str, *, exit_code: int = 1) -> None:
        """End the process of a replica; if its restart policy says so, it restarts at once."""
        self._processes[name].crash(exit_code=exit_code)

    async def check(self) -> None:
        """Raise while it is down."""
        if self.down:
            raise ProviderUnavailable("The fake engine is down.", hint="Set `down` to False.")

    async def observe(self, labels: Mapping[str, str], *, runs: bool = False) -> list[Replica]:
        """Return what there is."""
        await self.check()
        found = [process.seen for process in self._processes.values()]
        return [
            seen for seen in found
            if (runs or seen.index is not None)
            and all(key in seen.labels and value in {"", seen.labels[key]} for key, value in labels.items())
        ]  # fmt: skip

    async def survey(self, labels: Mapping[str, str], *, runs: bool = False) -> list[Replica]:
        """Return the same."""
        return await self.observe(labels, runs=runs)

    def plan(self, current: Sequence[Replica], desired: Workload) -> list[Change]:
        """Run what does not, then remove what is not wanted."""
        states = {replica.name: replica.state for replica in current}
        wanted = {f"{desired.name}.{index}": index for index in range(desired.replicas)}
        changes: list[Change] = [
            FakeChange("run", name, desired, index)
            for name, index in wanted.items()
            if states.get(name) not in _LEFT_ALONE
        ]
        return [*changes, *(FakeChange("remove", name) for name in states if name not in wanted)]

    async def apply(self, changes: Sequence[Change]) -> None:
        """At once."""
        await self.check()
        for change in changes:
            if not isinstance(change, FakeChange):
                raise TypeError(f"{type(change).__name__} is not a change of the fake engine")
            if change.workload is None:
                self._remove(change.name)
            else:
                self._make(change.name, change.workload, change.index).start()

    async def start(self, replica: Replica) -> None:
        """At once."""
        await self.check()
        self._get(replica).start()

    async def stop(self, replica: Replica, *, grace: float | None = None) -> None:
        """At once: nothing in memory needs grace."""
        del grace
        await self.check()
        if replica.name in self._processes:
            self._processes[replica.name].end()

    async def remove(self, replica: Replica) -> None:
        """At once."""
        await self.check()
        self._remove(replica.name)

    async def run_once(self, workload: Workload, *, deadline: float, progress: Progress) -> int:
        """Start, or join; then wait."""
        await self.check()
        process = self._make(workload.name, replace(workload, restart="no"), None)
        return await process.run(deadline=deadline, progress=progress)

    async def logs(
        self, replica: Replica, *, tail: int | None, follow: bool, since: datetime | None = None
    ) -> AsyncIterator[LogLine]:
        """What was written; new lines are noticed within a tenth of a second."""
        await self.check()
        async with aclosing(self._get(replica).logs(tail=tail, follow=follow, since=since)) as lines:
            async for line in lines:
                yield line

    async def remove_network(self, name: str) -> None:
        """Unless a replica belongs to it."""
        await self.check()
        if any(name in process.spec.networks for process in self._processes.values()):
            raise RequestRefused(f"The network {name} is in use.")

    async def exec(self, replica: Replica, argv: Sequence[str], *, deadline: float) -> CommandResult:
        """Run the programs that replicas know, too."""
        await self.check()
        self._get(replica)
        return await run_inside(argv, deadline=deadline)

    async def prepare_terminal(self, replica: Replica, request: TerminalRequest) -> str:
        """Return an id."""
        await self.check()
        self._get(replica)
        del request
        return self.terminals.prepare()

    def open_terminal(
        self, replica: Replica, terminal_id: str, request: TerminalRequest
    ) -> AbstractAsyncContextManager[Terminal]:
        """Run one of the programs that terminals know."""
        self._get(replica)
        return self.terminals.run(terminal_id, request)

    async def end_terminal(self, replica_id: str, terminal_id: str) -> bool:
        """Whether it is gone."""
        del replica_id
        await self.check()
        return terminal_id not in self.terminals.open

    def _make(self, name: str, workload: Workload, index: int | None) -> _Process:
        check_privileges(workload)
        if workload.image not in self.images:
            raise RequestRefused(f"The image {workload.image} is not there.")
        if name not in self._processes:
            number = next(self._numbers)
            seen = Replica(
                id=f"{number:064x}", name=name, image_id=workload.image, labels=dict(workload.labels), state="created",
                address=f"10.213.0.{number}", exit_code=None, restarts=0, out_of_memory=False, started_at=None,
                index=index,
            )  # fmt: skip
            self._processes[name] = _Process(workload, seen)
        return self._processes[name]

    def _remove(self, name: str) -> None:
        if process := self._processes.pop(name, None):
            process.end()

    def _get(self, replica: Replica) -> _Process:
        if replica.name not in self._processes:
            raise RequestRefused("The replica is gone.")
        return self._processes[replica.name]


class FakeEngineConfig(BaseModel):
    """An engine in memory needs no address."""


class FakeEngineProvider:
    """Opens fake engines; every `open` returns the same one, so that a test can inspect it."""

    name: ClassVar[str] = "fake"
    Config: ClassVar[type[BaseModel]] = FakeEngineConfig

    def __init__(self, engine: FakeEngine | None = None) -> None:
        self.engine = engine or FakeEngine()

    @asynccontextmanager
    async def open(
        self, config: BaseModel, connector: Connector, host: "ContainerHost | None"
    ) -> AsyncIterator[FakeEngine]:
        """Return the fake; all arguments are ignored."""
        del config, connector, host
        yield self.engine
