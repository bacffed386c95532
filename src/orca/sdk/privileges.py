"""What a program may ask of its machine: without question, with a grant of an instance admin, or never. Pure.

Three tiers. Plain: what every program may have. With a grant: what reaches beyond it, named so that a person can
decide. Refused: what amounts to root on the machine, also for owners. An engine calls `check_privileges` on all that it
starts, so a definition that came past the form, the API and the importers is refused all the same.
"""

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, Literal

from orca.errors import RequestRefused
from orca.sdk.workloads import Privilege, ProcessSpec, PublishedPort

Tier = Literal["plain", "grant", "refused"]
Namespace = Literal["pid", "ipc", "uts", "userns", "cgroup", "network"]

PLAIN_CAPABILITIES: Final = frozenset(
    {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "NET_BIND_SERVICE", "KILL"}
)
"""Those that every program has."""
GRANTED_CAPABILITIES: Final = frozenset({
    "NET_ADMIN", "NET_RAW", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "IPC_LOCK", "SETPCAP", "SETFCAP", "SYS_CHROOT",
    "MKNOD", "FSETID", "AUDIT_WRITE", "NET_BROADCAST", "LEASE", "IPC_OWNER", "WAKE_ALARM",
})  # fmt: skip
"""Any other capability is one to take over the machine with: SYS_ADMIN, SYS_MODULE, SYS_PTRACE, SYS_RAWIO and so on."""
_REFUSED_PATHS: Final = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/sbin", "/sys", "/usr", "/run", "/var/run",
    "/var/lib/docker", "/var/lib/containerd", "/var/lib/kubelet", "/var/spool/cron",
)  # fmt: skip
_HARMLESS_PATHS: Final = {"/etc/localtime", "/etc/timezone"}
_ENGINE_SOCKETS: Final = {"/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock"}
_SYSCTLS: Final = re.compile(r"net(?:\.[a-z0-9_-]+)+|kernel\.(?:msg\w+|sem|shm\w+)|fs\.mqueue\.\w+")
"""Those that the kernel keeps for each namespace; any other one is of the whole machine."""
_ULIMITS: Final = frozenset(
    {"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nofile", "nproc", "sigpending", "stack"}
)
_DEVICE: Final = re.compile(r"/dev/[A-Za-z0-9._:/-]+")
_DISKS_AND_MEMORY: Final = re.compile(
    r"/dev/(?:mem|kmem|kmsg|port|cpu/|core|fd|std|snapshot|nvram|mtd|ubi|ram|loop|zram|pmem|dax|sd|hd|vd|xvd|nvme|mmcblk|sg\d|bsg"
    r"|nbd|rbd|drbd|bcache|md|dm-|zd|zvol|mapper|disk|block|char|root|raw|btrfs-control)"
)
"""Names of disks, of memory, and of folders with links to them."""
_SECURITY: Final = re.compile(r"no-new-privileges(?:[:=]true)?")


@dataclass(frozen=True, slots=True)
class Demands:
    """What a definition asks for beyond a program's own files, network and limits, as Compose files write it."""

    privileged: bool = False
    namespaces: Mapping[Namespace, str] = field(default_factory=dict)
    """Namespaces that are not its own: `host`, `container:<name>`, `service:<name>`."""
    capabilities: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()
    host_paths: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    gpu: bool = False
    sysctls: tuple[str, ...] = ()
    ulimits: tuple[str, ...] = ()
    published: tuple[PublishedPort, ...] = ()
    networks: tuple[str, ...] = ()
    """Networks of other programs."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Which grants a definition needs, and what of it is refused, each as a sentence."""

    grants: tuple[Privilege, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def tier(self) -> Tier:
        """The tier of the whole."""
        return "refused" if self.refused else "grant" if self.grants else "plain"


def assess(demands: Demands, *, private_paths: Collection[str] = ()) -> Assessment:
    """Decide on demands. `private_paths`: folders of the machine that are Orca's own."""
    grants: dict[Privilege, None] = {}
    refused: list[str] = []
    for found in _assess_each(demands, tuple(private_paths)):
        if isinstance(found, Privilege):
            grants[found] = None
        else:
            refused.append(found)
    return Assessment(tuple(grants), tuple(refused))


def demands_of(spec: ProcessSpec) -> Demands:
    """Return what a program asks for; what it cannot even express is not in it."""
    return Demands(
        capabilities=spec.cap_add,
        namespaces={"network": "host"} if spec.host_network else {},
        devices=tuple(device.path for device in spec.devices),
        sysctls=tuple(spec.sysctls),
        ulimits=tuple(limit.name for limit in spec.ulimits),
        published=spec.published,
        host_paths=tuple(folder.source for folder in spec.host_folders),
        networks=tuple(
            attachment.network for attachment in spec.attachments
            if not f"{attachment.network}-".startswith(f"{spec.network}-")
        ),
    )  # fmt: skip


def check_privileges(spec: ProcessSpec) -> None:
    """Raise RequestRefused unless everything that a program asks for is plain or was granted to it."""
    found = assess(demands_of(spec))
    if found.refused:
        raise RequestRefused(found.refused[0], hint="Nothing on this machine may have that: run it without.")
    missing = [grant for grant in found.grants if grant not in spec.grants]
    if missing:
        raise RequestRefused(
            f"{spec.name} asks for {missing[0]}, which it was not granted.",
            hint="Run it without, or ask an instance admin to grant it.",
        )


def _assess_each(demands: Demands, private: tuple[str, ...]) -> Iterator[Privilege | str]:
    if demands.privileged:
        yield "A privileged container is root on the machine."
    if demands.gpu:
        yield Privilege("gpu")
    yield from chain.from_iterable(_assess_namespace(*namespace) for namespace in demands.namespaces.items())
    yield from chain.from_iterable(map(_assess_security_option, demands.security_options))
    yield from chain.from_iterable(map(_assess_capability, demands.capabilities))
    yield from chain.from_iterable(_assess_path(path, private) for path in demands.host_paths)
    yield from map(_assess_device, demands.devices)
    yield from map(_assess_sysctl, demands.sysctls)
    yield from chain.from_iterable(map(_assess_ulimit, demands.ulimits))
    yield from (Privilege("network", name) for name in demands.networks)
    yield from (
        Privilege("host.port", f"{published.protocol}/{published.host_port}") for published in demands.published
    )


def _assess_security_option(option: str) -> Iterator[str]:
    if not _SECURITY.fullmatch(option):
        yield f"The security option {option} takes away what keeps a container apart from the machine."


def _assess_sysctl(name: str) -> Privilege | str:
    return Privilege("sysctl", name) if _SYSCTLS.fullmatch(name) else f"The sysctl {name} is one of the whole machine."


def _assess_ulimit(name: str) -> Iterator[str]:
    if name not in _ULIMITS:
        yield f"The limit {name} lets a process come before those of others."


def _assess_namespace(namespace: Namespace, mode: str) -> Iterator[Privilege | str]:
    if namespace == "network" and mode == "host":
        yield Privilege("host.network")
    elif namespace == "network" and mode.startswith("service:"):
        return
    elif mode == "host" or mode.startswith("container:"):
        yield f"The {namespace} namespace of {'the machine' if mode == 'host' else 'another container'} is not shared."


def _assess_capability(name: str) -> Iterator[Privilege | str]:
    known = capability(name)
    if known in GRANTED_CAPABILITIES:
        yield Privilege("capability", known)
    elif known not in PLAIN_CAPABILITIES:
        yield f"The capability {known} is enough to take over the machine."


def capability(name: str) -> str:
    """Return a capability's name as Orca writes it: upper case, without `CAP_`."""
    return name.upper().removeprefix("CAP_")


def _assess_device(path: str) -> Privilege | str:
    real = posixpath.normpath(path)
    if not _DEVICE.fullmatch(real) or _DISKS_AND_MEMORY.match(real):
        return f"{real} is a disk, the memory of the machine or no device."
    return Privilege("device", real)


def _assess_path(path: str, private: tuple[str, ...]) -> Iterator[Privilege | str]:
    real = "/" + posixpath.normpath(path).lstrip("/")
    if not path.startswith("/"):
        yield f"The path {path} does not begin at the root of the machine."
    elif real in _ENGINE_SOCKETS:
        yield Privilege("host.engine_socket", real)
    elif real not in _HARMLESS_PATHS and any(overlaps(real, other) for other in (*_REFUSED_PATHS, *private)):
        yield f"The path {real} of the machine holds what runs it."
    else:
        yield Privilege("host.path", real)


def overlaps(path: str, other: str) -> bool:
    """Whether one of two folders is in the other, or is the same."""
    inner, outer = sorted((path.rstrip("/") + "/", posixpath.normpath(other) + "/"), key=len, reverse=True)
    return inner.startswith(outer)
