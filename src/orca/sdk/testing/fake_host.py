"""An in-memory host, for tests of code that uses container hosts.

Containers sleep forever unless their command is `true`, `false`, `echo …` or `sleep N`. Tests cause events by
`crash`, `down` and `add_image`.
"""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import ProviderUnavailable, RequestRefused
from orca.sdk.connectors import CommandResult, Connector
from orca.sdk.containers import Container, ContainerSpec, HostInfo, Image, RegistryLogin
from orca.sdk.plans import Change
from orca.sdk.privileges import check_privileges
from orca.sdk.terminals import Terminal, TerminalRequest
from orca.sdk.testing.fake_process import FakeProcess, run_inside
from orca.sdk.testing.fake_terminal import FakeTerminals
from orca.sdk.workloads import LogLine, Observation, Progress


@dataclass(frozen=True, slots=True)
class FakeHostChange:
    """`create`, `start` or `remove` a container by name."""

    verb: str
    name: str
    spec: ContainerSpec | None = None

    def describe(self) -> str:
        """For people."""
        return f"{self.verb} container {self.name}"


_Box = FakeProcess[ContainerSpec, Container]


class FakeHost:
    """A complete in-memory host. `down` makes every call raise ProviderUnavailable."""

    def __init__(self, images: Sequence[str] = ()) -> None:
        self.down = False
        self.pulled: list[tuple[str, RegistryLogin | None]] = []
        self.images: dict[str, Image] = {}
        self.registry: dict[str, Image] = {}
        self.volumes: dict[str, dict[str, str]] = {}
        self.networks: list[str] = []
        self.terminals = FakeTerminals()
        self._boxes: dict[str, _Box] = {}
        self._numbers = itertools.count(1)
        for reference in images:
            self.add_image(reference)

    def add_image(self, reference: str, **facts: object) -> Image:
        """Add an image to the host, and to the registry that `pull_image` uses. `facts` replace fields of it."""
        number = next(self._numbers)
        image = Image(
            id=reference if reference.startswith("sha256:") else f"sha256:{number:064x}",
            tags=() if reference.startswith("sha256:") else (reference,),
            digest=f"sha256:{number:064d}",
            size_bytes=1_000_000,
            created_at=datetime.now(UTC),
            labels={},
            ports=(),
        )
        image = replace(image, **facts)  # type: ignore[arg-type] # the caller names fields of Image
        self.images[image.id] = image
        self.registry[reference] = image
        return image

    def crash(self, name: str, *, exit_code: int = 1, out_of_memory: bool = False) -> None:
        """End a container's process; if its restart policy says so, it restarts at once."""
        self._boxes[name].crash(exit_code=exit_code, out_of_memory=out_of_memory)

    def write(self, name: str, text: str) -> None:
        """Write a line as a container."""
        self._boxes[name].lines.append(LogLine("stdout", text, datetime.now(UTC)))

    async def info(self) -> HostInfo:
        """Always the same."""
        self._check_up()
        return HostInfo("1.0-fake", "1.0", "/nowhere", 2, 4 << 30)

    async def inspect(self, labels: Mapping[str, str]) -> list[Container]:
        """What there is."""
        self._check_up()
        return [box.seen for box in self._boxes.values() if _matches(box.spec.labels, labels)]

    def plan(self, current: Sequence[Observation], desired: Sequence[ContainerSpec]) -> list[Change]:
        """Create and start what is missing, then remove what is not wanted."""
        states = {container.name: container.state for container in current}
        changes: list[Change] = []
        for spec in desired:
            state = states.pop(spec.name, None)
            if state is None:
                changes.append(FakeHostChange("create", spec.name, spec))
            if state not in {"running", "restarting", "unknown"}:
                changes.append(FakeHostChange("start", spec.name))
        return [*changes, *(FakeHostChange("remove", name) for name in states)]

    async def apply(self, changes: Sequence[Change]) -> None:
        """At once."""
        self._check_up()
        for change in changes:
            if not isinstance(change, FakeHostChange):
                raise TypeError(f"{type(change).__name__} is not a change of the fake host")
            if change.verb == "remove":
                self._remove(change.name)
            elif change.spec:
                self._create(change.spec)
            else:
                self._boxes[change.name].start()

    async def start(self, name: str) -> None:
        """At once."""
        self._check_up()
        if name not in self._boxes:
            raise RequestRefused(f"There is no container {name}.")
        self._boxes[name].start()

    async def stop(self, container_id: str, *, grace: float) -> None:
        """At once: nothing in memory needs grace."""
        del grace
        self._check_up()
        if box := self._find(container_id):
            box.end()

    async def remove(self, container_id: str) -> None:
        """At once."""
        self._check_up()
        if box := self._find(container_id):
            self._remove(box.spec.name)

    async def run_once(self, spec: ContainerSpec, *, deadline: float, progress: Progress) -> int:
        """Create and start, or join; then wait."""
        self._check_up()
        return await self._create(replace(spec, restart="no")).run(deadline=deadline, progress=progress)

    async def logs(
        self, container_id: str, *, tail: int | None, follow: bool, since: datetime | None = None
    ) -> AsyncIterator[LogLine]:
        """What was written; new lines are noticed within a tenth of a second."""
        self._check_up()
        async with aclosing(self._get(container_id).logs(tail=tail, follow=follow, since=since)) as lines:
            async for line in lines:
                yield line

    async def pull_image(self, reference: str, login: RegistryLogin | None, progress: Progress) -> Image:
        """From `registry`, where a test has put it."""
        self._check_up()
        self.pulled.append((reference, login))
        image = self.registry.get(reference)
        if image is None:
            raise RequestRefused(f"There is no image {reference}.")
        await progress(f"Pulled {reference}")
        self.images[image.id] = image
        return image

    async def find_image(self, reference: str) -> Image | None:
        """By id or tag."""
        self._check_up()
        return next((image for image in self.images.values() if reference in {image.id, *image.tags}), None)

    async def list_images(self, labels: Mapping[str, str]) -> list[Image]:
        """Those with these labels."""
        self._check_up()
        return [image for image in self.images.values() if _matches(image.labels, labels)]

    async def remove_image(self, reference: str) -> bool:
        """Unless a container uses it."""
        image = await self.find_image(reference)
        if image is None or any(box.seen.image_id == image.id for box in self._boxes.values()):
            return False
        del self.images[image.id]
        return True

    async def list_volumes(self, labels: Mapping[str, str]) -> list[str]:
        """Names of those with these labels."""
        self._check_up()
        return sorted(name for name, given in self.volumes.items() if _matches(given, labels))

    async def remove_volume(self, name: str) -> None:
        """Unless a container uses it."""
        self._check_up()
        if any(mount.volume == name for box in self._boxes.values() for mount in box.spec.mounts):
            raise RequestRefused(f"The volume {name} is in use.")
        self.volumes.pop(name, None)

    async def remove_network(self, name: str) -> None:
        """Unless a container uses it."""
        self._check_up()
        if any(name in box.spec.networks for box in self._boxes.values()):
            raise RequestRefused(f"The network {name} is in use.")
        if name in self.networks:
            self.networks.remove(name)

    async def exec(self, container_id: str, argv: Sequence[str], *, deadline: float) -> CommandResult:
        """The programs that containers know, too."""
        self._check_up()
        self._get(container_id)
        return await run_inside(argv, deadline=deadline)

    async def prepare_terminal(self, container_id: str, request: TerminalRequest) -> str:
        """Return an id."""
        self._check_up()
        self._get(container_id)
        del request
        return self.terminals.prepare()

    def open_terminal(
        self, container_id: str, terminal_id: str, request: TerminalRequest
    ) -> AbstractAsyncContextManager[Terminal]:
        """Run one of the programs that terminals know."""
        self._check_up()
        self._get(container_id)
        return self.terminals.run(terminal_id, request)

    async def end_terminal(self, container_id: str, terminal_id: str) -> bool:
        """Whether it is gone."""
        del container_id
        self._check_up()
        return terminal_id not in self.terminals.open

    async def stats(self, container_id: str) -> tuple[float, int]:
        """Always the same."""
        self._check_up()
        self._get(container_id)
        return 0.01, 10 << 20

    def _check_up(self) -> None:
        if self.down:
            raise ProviderUnavailable("The fake host is down.", hint="Set `down` to False.")

    def _create(self, spec: ContainerSpec) -> _Box:
        check_privileges(spec)
        if found := self._boxes.get(spec.name):
            if not _matches(found.spec.labels, spec.labels):
                raise RequestRefused(f"There is another container {spec.name}.")
            return found
        image = next((image for image in self.images.values() if spec.image in {image.id, *image.tags}), None)
        if image is None:
            raise RequestRefused(f"The image {spec.image} is not on the host.")
        if spec.network not in self.networks:
            self.networks.append(spec.network)
        for mount in spec.mounts:
            self.volumes.setdefault(mount.volume, dict(spec.labels))
        seen = Container(
            id=f"{next(self._numbers):064x}",
            name=spec.name,
            image_id=image.id,
            labels=dict(spec.labels),
            state="created",
            address=self._free_address(spec.network),
            exit_code=None,
            restarts=0,
            out_of_memory=False,
            started_at=None,
        )
        self._boxes[spec.name] = _Box(spec, seen)
        return self._boxes[spec.name]

    def _free_address(self, network: str) -> str:
        taken = {box.seen.address for box in self._boxes.values()}
        subnet = self.networks.index(network)
        return next(text for number in itertools.count(10) if (text := f"10.213.{subnet}.{number}") not in taken)

    def _remove(self, name: str) -> None:
        if box := self._boxes.pop(name, None):
            box.end()

    def _find(self, container_id: str) -> _Box | None:
        return next((box for box in self._boxes.values() if box.seen.id == container_id), None)

    def _get(self, container_id: str) -> _Box:
        if box := self._find(container_id):
            return box
        raise RequestRefused("The container is gone.")


class FakeHostConfig(BaseModel):
    """A host in memory needs no address."""


class FakeHostProvider:
    """Opens fake hosts; every `open` returns the same one, so that a test can inspect it."""

    name: ClassVar[str] = "fake"
    Config: ClassVar[type[BaseModel]] = FakeHostConfig

    def __init__(self, host: FakeHost | None = None) -> None:
        self.host = host or FakeHost()

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[FakeHost]:
        """Return the fake; both arguments are ignored."""
        del config, connector
        yield self.host


def _matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(key in labels and value in {"", labels[key]} for key, value in wanted.items())
