"""What engines run, and what they see of it: programs, the workloads that are made of them, and replicas."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

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
class Attachment:
    """A further private network that a program belongs to, and the names by which its members find it there.

    One whose name does not begin with that of the program's own network, and a dash, is of other programs: it needs a
    grant.
    """

    network: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A file that is in place before the process starts. It belongs to the user that the process runs as.

    Its content is in no environment, argument or label.
    """

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o444
    """`SECRET` for what no other user may read."""


SECRET: Final = 0o400


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A folder in memory, empty at each start. It counts towards the memory limit."""

    path: str
    size_bytes: int | None = None
    mode: int = 0o1777


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A limit of the kernel for each process, by its name in `ulimit`: `nofile`, `nproc`, `memlock`. -1: none."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class HealthCommand:
    """A health check that the engine itself runs inside, in place of the image's own."""

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    """Seconds in which a failure does not count."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the machine, and its path inside; empty: the same."""

    path: str
    inside: str = ""
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of the machine that leads to a port of the process, beside the proxy."""

    port: int
    host_port: int
    protocol: Literal["tcp", "udp"] = "tcp"
    host_address: str = ""
    """The machine's address that it is opened on; empty: all of them."""


@dataclass(frozen=True, slots=True)
class HostFolder:
    """A folder or file of the machine, and its path inside."""

    source: str
    path: str
    read_only: bool = False


PrivilegeName = Literal[
    "network", "host.port", "host.path", "host.network", "host.engine_socket", "device", "gpu", "capability", "sysctl"
]


@dataclass(frozen=True, slots=True)
class Privilege:
    """A permission beyond what every program has, such as `host.port` `udp/51820` or `capability` `NET_ADMIN`.

    An instance admin gives it; `orca.sdk.privileges` says which ones a program needs.
    """

    name: PrivilegeName
    value: str = ""

    def __str__(self) -> str:
        """Return it as people write it: `device:/dev/dri`, `host.network`."""
        return f"{self.name}:{self.value}" if self.value else self.name


@dataclass(frozen=True, slots=True)
class ProcessSpec:
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
    health: HealthCommand | None = None
    """A health check instead of the image's own."""
    mounts: tuple[Mount, ...] = ()
    cpus: float | None = None
    memory_bytes: int | None = None
    pids: int = 4096
    restart: RestartPolicy = "unless-stopped"
    stop_grace: float = 10.0
    """Seconds between TERM and KILL."""
    ports: tuple[int, ...] = ()
    """TCP ports the process listens on. They are not published on the machine."""
    working_directory: str = ""
    """Where the process starts; empty: where the image says."""
    hostname: str = ""
    aliases: tuple[str, ...] = ()
    """Names by which the members of `network` find it."""
    attachments: tuple[Attachment, ...] = ()
    files: tuple[File, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    shm_bytes: int | None = None
    """Size of /dev/shm; None: 64 MiB."""
    ulimits: tuple[Ulimit, ...] = ()
    read_only: bool = False
    """Whether the root of the file system cannot be written to; volumes and `tmpfs` can."""
    stop_signal: str = ""
    """What asks it to end, such as `SIGINT`; empty: what the image says, else TERM."""
    init: bool = True
    """Whether a small process 1 reaps zombies; False for images that bring their own."""
    platform: str = ""
    """Such as `linux/arm64`, for images of several; empty: the machine's own."""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    """Names and their addresses, beside those of the networks."""
    reserved_cpus: float | None = None
    """Its share of the cores when they are scarce."""
    reserved_memory_bytes: int | None = None
    """What it keeps when memory is scarce."""
    cap_drop: tuple[str, ...] = ()
    """Capabilities to take away, of those that every program has; `ALL` for all of them."""
    cap_add: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    published: tuple[PublishedPort, ...] = ()
    host_folders: tuple[HostFolder, ...] = ()
    host_network: bool = False
    """Whether it uses the network of the machine instead of `network`: its address is then 127.0.0.1."""
    grants: tuple[Privilege, ...] = ()
    """What it was allowed; engines refuse a program that asks for more."""

    @property
    def networks(self) -> tuple[str, ...]:
        """All networks of programs that it belongs to."""
        return () if self.host_network else (self.network, *(attachment.network for attachment in self.attachments))


@dataclass(frozen=True, slots=True)
class Workload(ProcessSpec):
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
