"""What engines run, and what they see of it: programs, the workloads that are made of them, and replicas."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

ProcessState = Literal["created", "running", "restarting", "paused", "exited", "dead", "unknown"]
"""`unknown`: it could not be observed, which never means that it is gone."""
RestartPolicy = Literal["always", "unless-stopped", "on-failure", "no"]
Progress = Callable[[str], Awaitable[None]]
"""Receives one line of output at a time."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume that Orca owns, at a path in the file system of the process."""

    volume: str
    path: str
    read_only: bool = False
    owner: str = ""
    """`uid` or `uid:gid` that an empty volume gets; empty: the user that the process runs as."""
    mode: int | None = None
    """Permissions that an empty volume gets."""


@dataclass(frozen=True, slots=True)
class Program:
    """How a process is started, and what it may use."""

    name: str
    """Unique where it runs, and the same each time a step is repeated: nothing is created twice."""
    image: str
    """An image id or a reference pinned by digest; it must be there already."""
    network: str
    """The private network that it belongs to: only its members reach each other. Created as needed."""
    labels: Mapping[str, str]
    """What it is found by again."""
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    """Replaces the image's command; empty keeps it."""
    entrypoint: tuple[str, ...] = ()
    """Replaces what the image starts before the command; empty keeps it."""
    user: str = ""
    """The user that the process runs as; empty: the image's."""
    ignores_health: bool = False
    """Whether the image's own health check is not run."""
    mounts: tuple[Mount, ...] = ()
    cpus: float | None = None
    memory_bytes: int | None = None
    pids: int = 4096
    restart: RestartPolicy = "unless-stopped"
    stop_grace: float = 10.0
    """Seconds between TERM and KILL."""
    ports: tuple[int, ...] = ()
    """TCP ports the process listens on. They are not published on the machine."""


@dataclass(frozen=True, slots=True)
class Workload(Program):
    """A program of which a number of replicas should run. Old and new releases are workloads of different names."""

    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a process."""

    id: str
    name: str
    image_id: str
    labels: Mapping[str, str]
    state: ProcessState
    address: str | None
    """Where the proxy and the probes of its system reach its ports; unchanged by a restart of it or of the machine."""
    exit_code: int | None
    restarts: int
    out_of_memory: bool
    started_at: datetime | None
    health: Literal["none", "starting", "healthy", "unhealthy"] = "none"
    health_output: str = ""
    """The output of the last run of the image's own health check."""
    health_test: tuple[str, ...] = ()
    """The command of that check, to be run inside."""
    finished_at: datetime | None = None
    """When its process last ended; it may have been started again since."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a process wrote."""

    stream: Literal["stdout", "stderr"]
    text: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port on which a process of a replica listens."""

    port: int
    is_loopback: bool
    """Whether it can be reached only from inside the replica."""


@dataclass(frozen=True, slots=True)
class Unwritable:
    """A volume in which a process cannot write."""

    volume: str
    path: str
    place: str
    """The first path without write permission: the mount itself, or an entry in it."""
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class VolumeOwner:
    """The owners of a volume, each as `uid:gid`: of its folder, and of most entries in it.

    Without `contents`, only the folder is restored.
    """

    folder: str
    mode: int
    contents: str


@dataclass(frozen=True, slots=True)
class Replica(Observation):
    """One running copy of a workload, or what ran once."""

    index: int | None = None
    """Its number in the workload, from 0; None for what was started by `run_once`."""
