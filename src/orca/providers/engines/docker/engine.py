"""Workloads on one container host: each replica is a container, found again by its name and labels."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from orca.errors import BadInput, RequestRefused
from orca.providers.engines.docker.labels import REPLICA
from orca.sdk.connectors import CommandResult, Connector
from orca.sdk.containers import (
    Container,
    ContainerHost,
    ContainerSpec,
    SupportsExec,
    SupportsListeners,
    SupportsSurvey,
    SupportsTerminals,
    SupportsVolumeOwners,
)
from orca.sdk.plans import Change
from orca.sdk.terminals import Terminal, TerminalRequest
from orca.sdk.workloads import (
    Listener,
    LogLine,
    Observation,
    ProcessSpec,
    Progress,
    Replica,
    Unwritable,
    VolumeOwner,
    Workload,
)

_GRACE = "orca.stop-grace"
_USUAL_GRACE = "10"


class DockerEngine:
    """Runs workloads on a container host."""

    def __init__(self, host: ContainerHost) -> None:
        self._host = host

    async def check(self) -> None:
        """Ask the host for its description."""
        await self._host.info()

    async def observe(self, labels: Mapping[str, str], *, runs: bool = False) -> list[Replica]:
        """Inspect the containers with these labels."""
        return _read_all(await self._host.inspect(_select(labels, runs=runs)))

    async def survey(self, labels: Mapping[str, str], *, runs: bool = False) -> list[Replica]:
        """List the containers with these labels, by the cheap query where the host has one."""
        look = self._host.survey if isinstance(self._host, SupportsSurvey) else self._host.inspect
        return _read_all(await look(_select(labels, runs=runs)))

    def plan(self, current: Sequence[Replica], desired: Workload) -> list[Change]:
        """Match containers by name."""
        return self._host.plan(current, render_replicas(desired))

    async def apply(self, changes: Sequence[Change]) -> None:
        """Apply changes of the host's own plan."""
        await self._host.apply(changes)

    async def start(self, replica: Replica) -> None:
        """Start the container."""
        await self._host.start(replica.name)

    async def stop(self, replica: Replica, *, grace: float | None = None) -> None:
        """Stop the container with the grace that it was created with, or another."""
        seconds = float(replica.labels.get(_GRACE, _USUAL_GRACE)) if grace is None else grace
        await self._host.stop(replica.id, grace=seconds)

    async def remove(self, replica: Replica) -> None:
        """Remove the container."""
        await self._host.remove(replica.id)

    async def run_once(self, workload: Workload, *, deadline: float, progress: Progress) -> int:
        """Run a container of the workload's own name."""
        return await self._host.run_once(render_run(workload), deadline=deadline, progress=progress)

    def logs(
        self, replica: Replica, *, tail: int | None, follow: bool, since: datetime | None = None
    ) -> AsyncIterator[LogLine]:
        """Read the container's log."""
        return self._host.logs(replica.id, tail=tail, follow=follow, since=since)

    async def remove_network(self, name: str) -> None:
        """Remove the network from the host."""
        await self._host.remove_network(name)

    async def exec(self, replica: Replica, argv: Sequence[str], *, deadline: float) -> CommandResult:
        """Run a command in the container."""
        if not isinstance(self._host, SupportsExec):
            raise RequestRefused("This container host cannot run commands in containers.")
        return await self._host.exec(replica.id, argv, deadline=deadline)

    async def prepare_terminal(self, replica: Replica, request: TerminalRequest) -> str:
        """Prepare a process in the container."""
        return await _terminals(self._host).prepare_terminal(replica.id, request)

    def open_terminal(
        self, replica: Replica, terminal_id: str, request: TerminalRequest
    ) -> AbstractAsyncContextManager[Terminal]:
        """Start the process in the container."""
        return _terminals(self._host).open_terminal(replica.id, terminal_id, request)

    async def end_terminal(self, replica_id: str, terminal_id: str) -> bool:
        """Kill what is left of the process."""
        return await _terminals(self._host).end_terminal(replica_id, terminal_id)

    async def find_listeners(self, replica: Replica) -> list[Listener] | None:
        """Return the ports on which the container listens, where the host can see that."""
        return await self._host.find_listeners(replica.id) if isinstance(self._host, SupportsListeners) else None

    async def find_owner(self, workload: Workload) -> VolumeOwner | None:
        """Return the owner of the data in the one mount of `workload`."""
        return await _owning(self._host).find_owner(render_run(workload))

    async def own_volume(
        self, workload: Workload, *, before: Callable[[], Awaitable[None]], deadline: float, progress: Progress
    ) -> bool:
        """Change the owner of the data in the one mount of `workload`."""
        spec = render_run(workload)
        return await _owning(self._host).own_volume(spec, before=before, deadline=deadline, progress=progress)

    async def restore_owner(
        self, workload: Workload, owner: VolumeOwner, *, deadline: float, progress: Progress
    ) -> None:
        """Restore the former owner of the one volume of `workload`."""
        spec = render_run(workload)
        await _owning(self._host).restore_owner(spec, owner, deadline=deadline, progress=progress)

    async def find_unwritable(self, replica: Replica) -> list[Unwritable]:
        """Return the volumes in which the user of the container cannot write."""
        return await _owning(self._host).find_unwritable(replica.id)


class DockerEngineConfig(BaseModel):
    """Where the containers run is in the configuration of the container host, which reads the same object."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class DockerEngineProvider:
    """Opens engines on a container host; a plugin may register it again beside a host of its own."""

    name: ClassVar[str] = "docker"
    Config: ClassVar[type[BaseModel]] = DockerEngineConfig

    @asynccontextmanager
    async def open(
        self, config: BaseModel, connector: Connector, host: ContainerHost | None
    ) -> AsyncIterator[DockerEngine]:
        """Return an engine on `host`. Raises BadInput where there is none."""
        del config, connector
        if host is None:
            raise BadInput("this engine needs a container host of the same name", hint="Install its plugin.")
        yield DockerEngine(host)


def render_replicas(workload: Workload) -> list[ContainerSpec]:
    """Return the container of each replica, named by its number."""
    fields_of = _program(workload)
    grace = {_GRACE: str(workload.stop_grace)}
    return [
        ContainerSpec(
            **fields_of
            | {"name": f"{workload.name}-{index}", "labels": {**workload.labels, REPLICA: str(index), **grace}}
        )
        for index in range(workload.replicas)
    ]


def render_run(workload: Workload) -> ContainerSpec:
    """Return the container of one run, which has the workload's own name."""
    return ContainerSpec(**_program(workload))


def read_replica(container: Observation) -> Replica:
    """Return a container as the replica that it is."""
    index = container.labels.get(REPLICA)
    seen = {field.name: getattr(container, field.name) for field in fields(Observation)}
    return Replica(**seen, index=None if index is None else int(index))


def _read_all(containers: Sequence[Container]) -> list[Replica]:
    return [read_replica(container) for container in containers]


def _select(labels: Mapping[str, str], *, runs: bool) -> dict[str, str]:
    return {**labels} if runs else {**labels, REPLICA: ""}


def _program(workload: Workload) -> dict[str, Any]:
    return {field.name: getattr(workload, field.name) for field in fields(ProcessSpec)}


def _owning(host: ContainerHost) -> SupportsVolumeOwners:
    if not isinstance(host, SupportsVolumeOwners):
        raise RequestRefused("This container host cannot read or change the owners of volumes.")
    return host


def _terminals(host: ContainerHost) -> SupportsTerminals:
    if not isinstance(host, SupportsTerminals):
        raise RequestRefused("This container host cannot run interactive commands in containers.")
    return host
