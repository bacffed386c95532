"""Enforces a build's memory, CPU and process limits, and stops it when the disk is nearly full.

BuildKit inside dockerd ignores `--memory`, `--cpu-quota` and `--cgroup-parent`. But root may move processes: the
containers of one build are recognised by a marker in their specification (as part of NO_PROXY, which BuildKit excludes
from cache keys and history) and moved, as they appear, into the build's own control group. So parallel steps share one
limit, an out-of-memory kill can be read from the group's own counter, and processes that are left when the build ends
can be killed. BuildKit's own work (copying, packing layers) is not limited.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from orca.errors import ProviderUnavailable
from orca.kit.cancellation import finish_then_cancel, shield_until_done
from orca.kit.threads import run_in_thread

MARKER = "orca-build-"
PIDS = 4096

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000
_LOOK_EVERY = 0.05
_DISK_EVERY = 20
"""The disk is checked once in this many polls."""
_CLOSE_LOOKS = 200
_CONTROLLERS = ("memory", "cpu", "pids")
MeasureFree = Callable[[], Awaitable[int | None]]
"""Returns the bytes that are free on the engine's disk; None where that is not known."""


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """Limits of one build."""

    cpus: float
    memory_bytes: int
    reserve_bytes: int
    """The build is stopped when less than this is left on the engine's disk."""


@dataclass(slots=True)
class Watch:
    """Observations about one build."""

    enforced: bool
    """Whether memory and CPU limits hold here; they need root on the engine's own machine."""
    out_of_memory: bool = False
    disk_full: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def limited(
    build_id: str, data_root: Path | None, limits: BuildLimits, measure: MeasureFree
) -> AsyncIterator[Watch]:
    """Watch the build with this id while the context is open.

    `data_root`: the engine's data folder, if it is on this machine: control groups of another one are out of reach.
    """
    if data_root is None:
        async with _watching(Watch(enforced=False), None, limits, measure) as watch:
            yield watch
        return
    containers = _Containers(data_root / "buildkit" / "executor", MARKER + build_id)
    async with _control_group(build_id, limits) as group:
        watch = Watch(enforced=group is not None and await asyncio.to_thread(containers.readable))
        captive = (group, containers) if group and watch.enforced else None
        try:
            async with _watching(watch, captive, limits, measure):
                yield watch
        finally:
            if group:
                watch.out_of_memory = await asyncio.to_thread(group.out_of_memory)


@asynccontextmanager
async def _watching(
    watch: Watch, captive: "Captive | None", limits: BuildLimits, measure: MeasureFree
) -> AsyncIterator[Watch]:
    watching = asyncio.create_task(_watch(watch, captive, limits, measure))
    try:
        yield watch
    finally:
        watching.cancel()
        await asyncio.wait({watching})


@asynccontextmanager
async def _control_group(build_id: str, limits: BuildLimits) -> AsyncIterator["ControlGroup | None"]:
    """Create the build's control group, and in any case remove it at the end and kill what still runs in it."""
    group = await finish_then_cancel(asyncio.to_thread(ControlGroup.create, f"build-{build_id}", limits))
    try:
        yield group
    finally:
        if group:
            await shield_until_done(_close(group))


async def _watch(watch: Watch, captive: "Captive | None", limits: BuildLimits, measure: MeasureFree) -> None:
    looks = 0
    while True:
        if captive:
            with suppress(OSError):  # the engine is being restarted: checked again at the next poll
                await run_in_thread(_capture, *captive)
        if looks % _DISK_EVERY == 0:
            with suppress(ProviderUnavailable):  # the system is away for a moment
                free = await measure()
                if free is not None and free < limits.reserve_bytes:
                    watch.disk_full.set()
        looks += 1
        await asyncio.sleep(_LOOK_EVERY)


async def _close(group: "ControlGroup") -> None:
    """Kill remaining processes (there are some only if a build was aborted) and remove the group."""
    for _ in range(_CLOSE_LOOKS):
        if await run_in_thread(group.remove):
            return
        await asyncio.sleep(_LOOK_EVERY)


def _capture(group: "ControlGroup", containers: "_Containers") -> None:
    for name in containers.ours():
        folders = containers.folders.get(name) or containers.folders.setdefault(name, group.find_folders(name))
        for folder in folders:
            for pid in read_pids(folder):
                group.adopt(pid)
        if not folders:
            del containers.folders[name]


@dataclass(slots=True)
class _Containers:
    """The running containers of the engine's BuildKit, found by their specifications on the disk."""

    folder: Path
    marker: str
    known: dict[str, bool] = field(default_factory=dict)
    folders: dict[str, list[Path]] = field(default_factory=dict)
    """The engine's control groups of our containers."""

    def readable(self) -> bool:
        return os.access(self.folder, os.R_OK | os.X_OK)

    def ours(self) -> list[str]:
        """Return the ids of the running containers that belong to the build."""
        with os.scandir(self.folder) as entries:
            present = {entry.name for entry in entries if entry.is_dir()}
        for name in present - self.known.keys():
            with suppress(OSError, ValueError):  # not written yet, or gone again: checked again at the next poll
                self.known[name] = is_marked((self.folder / name / "config.json").read_bytes(), self.marker)
        self.known = {name: ours for name, ours in self.known.items() if name in present}
        return [name for name, ours in self.known.items() if ours]


def is_marked(specification: bytes, marker: str) -> bool:
    """Whether an OCI runtime specification contains the marker. Raises ValueError if it is not JSON. Pure."""
    env = json.loads(specification).get("process", {}).get("env", [])
    pairs = (item.partition("=") for item in env)
    return any(name.lower() == "no_proxy" and marker in value.split(",") for name, _, value in pairs)


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A control group with common limits for its processes, in cgroup v1 or v2."""

    folders: tuple[Path, ...]
    root: Path = _ROOT

    @classmethod
    def create(cls, name: str, limits: BuildLimits, root: Path = _ROOT) -> "ControlGroup | None":
        """Create a group under `orca`; None if this process may not. Blocking, like all methods."""
        unified = (root / "cgroup.controllers").exists()
        parents = (root / "orca",) if unified else tuple(root / controller / "orca" for controller in _CONTROLLERS)
        group = cls(tuple(parent / name for parent in parents), root)
        try:
            for parent in parents:
                parent.mkdir(exist_ok=True)
                for above in (root, parent) if unified else ():
                    (above / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _CONTROLLERS))
                (parent / name).mkdir(exist_ok=True)
            for file, value in render_limits(limits, unified=unified):
                group.write(file, value)
        except OSError:
            group.remove()
            return None
        return group

    def write(self, file: str, value: str) -> None:
        """Write a file in the folder that has it; one that the kernel lacks (swap accounting) is skipped."""
        for folder in self.folders:
            if (folder / file).exists():
                (folder / file).write_text(value)

    def adopt(self, pid: int) -> None:
        """Move a process into the group; its later children are in it as well."""
        for folder in self.folders:
            with suppress(ProcessLookupError):
                (folder / "cgroup.procs").write_text(str(pid))

    def find_folders(self, container: str) -> list[Path]:
        """Return the groups that the engine created for a container, regardless of its cgroup driver."""
        return [
            Path(folder)
            for top in {folder.parents[1] for folder in self.folders}
            for folder, _, _ in os.walk(top)
            if container in Path(folder).name
        ]

    def out_of_memory(self) -> bool:
        """Whether the kernel killed one of the processes because of the memory limit."""
        for folder in self.folders:
            for file in ("memory.oom_control", "memory.events"):
                with suppress(OSError):
                    counters = dict(line.split() for line in (folder / file).read_text().splitlines())
                    if int(counters.get("oom_kill", 0)):
                        return True
        return False

    def remove(self) -> bool:
        """Kill all processes in the group and remove it; False while some have not ended yet."""
        for folder in self.folders:
            for pid in read_pids(folder):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(FileNotFoundError):
                try:
                    folder.rmdir()
                except OSError:
                    return False
        return True


Captive = tuple[ControlGroup, _Containers]
"""A control group, and the containers whose processes go into it."""


def read_pids(folder: Path) -> list[int]:
    """Return the processes in a group; empty when it is gone."""
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def render_limits(limits: BuildLimits, *, unified: bool) -> list[tuple[str, str]]:
    """Return file and value of each limit, in the order in which the kernel accepts them. Pure."""
    quota = max(int(limits.cpus * _PERIOD), 1000)
    if unified:
        return [
            ("memory.max", str(limits.memory_bytes)),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "0"),
            ("cpu.max", f"{quota} {_PERIOD}"),
            ("pids.max", str(PIDS)),
        ]
    return [
        ("memory.limit_in_bytes", str(limits.memory_bytes)),
        ("memory.memsw.limit_in_bytes", str(limits.memory_bytes)),
        ("cpu.cfs_period_us", str(_PERIOD)),
        ("cpu.cfs_quota_us", str(quota)),
        ("pids.max", str(PIDS)),
    ]
