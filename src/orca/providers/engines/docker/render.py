"""Renders the Engine API's request bodies that create objects, hardened by default. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from orca.errors import RequestRefused
from orca.providers.engines.docker.addresses import automatic_range, gateway
from orca.providers.engines.docker.observe import HOST_NETWORK
from orca.sdk.containers import ContainerSpec
from orca.sdk.privileges import capability, check_privileges
from orca.sdk.workloads import Device, HealthCommand, HostFolder, Mount, Tmpfs

_CAPABILITIES = {
    "CHOWN": "entry points hand a fresh volume to the user they drop to",
    "DAC_OVERRIDE": "root of the container prepares files of other users",
    "FOWNER": "the same for modes and times of such files",
    "SETGID": "dropping from root to a service user",
    "SETUID": "dropping from root to a service user",
    "NET_BIND_SERVICE": "web servers that listen on 80 and 443 inside",
    "KILL": "supervisors that stop workers of another user",
}
"""Capabilities added after dropping all, and why. Missing on purpose: NET_RAW (forged packets in the network),
MKNOD, SETFCAP (privileges that outlive the process), SETPCAP, SYS_CHROOT, AUDIT_WRITE, FSETID."""
FOLDER = "/.orca-files"
"""Where a container has the volume with the files of its read-only root; only root can look into it."""
_NANO = 1_000_000_000
_SHARES = 1024
"""The weight of one core."""
_LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}


@dataclass(frozen=True, slots=True)
class Sealed:
    """The volume with the files of a read-only root, and where each of them is on the engine's machine, by its path."""

    volume: str
    places: Mapping[str, str]


def render_container(
    spec: ContainerSpec,
    *,
    labels: Mapping[str, str],
    address: IPv4Address | None,
    init: bool,
    sealed: Sealed | None = None,
) -> dict[str, Any]:
    """The body of `POST /containers/create`. The proxy reaches the address; only granted ports are published.

    `address`: None on the network of the machine. `sealed`: the files that cannot be put into it later.

    Raises RequestRefused like `check_container`.
    """
    check_container(spec)
    body: dict[str, Any] = {
        "Image": spec.image,
        "Labels": dict(labels),
        "Env": [f"{_variable(name)}={value}" for name, value in spec.env.items()],
        "ExposedPorts": _exposed(spec),
        "StopTimeout": math.ceil(spec.stop_grace),
        "HostConfig": _host_config(spec, init=init, sealed=sealed),
    }
    if address is not None:
        body["NetworkingConfig"] = {"EndpointsConfig": {spec.network: render_endpoint(address, spec.aliases)}}
    if spec.command:
        body["Cmd"] = list(spec.command)
    if spec.entrypoint:
        body["Entrypoint"] = list(spec.entrypoint)
    options = {
        "User": spec.user, "WorkingDir": spec.working_directory, "Hostname": spec.hostname,
        "StopSignal": spec.stop_signal,
    }  # fmt: skip
    body |= {name: value for name, value in options.items() if value}
    if spec.ignores_health:
        body["Healthcheck"] = {"Test": ["NONE"]}
    elif spec.health:
        body["Healthcheck"] = _health(spec.health)
    return body


def check_container(spec: ContainerSpec) -> None:
    """Raise RequestRefused for what the program may not have, and for paths that cannot be mounted."""
    check_privileges(spec)
    if spec.host_network and (spec.attachments or spec.published):
        raise RequestRefused(
            "A container on the network of the machine has no other networks, and its ports are those of the machine.",
            hint="Leave out further networks and published ports.",
        )
    _check_paths(spec)


def render_endpoint(address: IPv4Address, aliases: Sequence[str] = ()) -> dict[str, Any]:
    """Return an endpoint in a network, with an address that survives restarts of container, engine and host."""
    endpoint: dict[str, Any] = {"IPAMConfig": {"IPv4Address": str(address)}}
    return endpoint | ({"Aliases": list(aliases)} if aliases else {})


def render_network(name: str, instance_labels: Mapping[str, str], subnet: IPv4Network) -> dict[str, Any]:
    """The body of `POST /networks/create`. Each network is a bridge of its own: Docker keeps them apart."""
    return {
        "Name": name,
        "Driver": "bridge",
        "CheckDuplicate": True,
        "Labels": dict(instance_labels),
        "IPAM": {
            "Driver": "default",
            "Config": [
                {
                    "Subnet": str(subnet),
                    "IPRange": str(automatic_range(subnet)),
                    "Gateway": str(gateway(subnet)),
                }
            ],
        },
    }


def _host_config(spec: ContainerSpec, *, init: bool, sealed: Sealed | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": HOST_NETWORK if spec.host_network else spec.network,
        "RestartPolicy": {"Name": spec.restart},
        "AutoRemove": False,
        "Init": init and spec.init,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": _capabilities(spec),
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": spec.pids,
        "LogConfig": {"Type": "json-file", "Config": dict(_LOG_OPTIONS)},
        "Mounts": [
            *map(render_mount, spec.mounts),
            *map(_folder, spec.host_folders),
            *(_sealed(sealed) if sealed else ()),
        ],
        **_options(spec),
    }
    if spec.memory_bytes:
        # Equal limits for memory and for memory plus swap disable swap: a leak ends in a visible OOM kill.
        config |= {"Memory": spec.memory_bytes, "MemorySwap": spec.memory_bytes}
    if spec.cpus:
        config["NanoCpus"] = round(spec.cpus * _NANO)
    return config


def _options(spec: ContainerSpec) -> dict[str, Any]:
    """Return what is only set where it is asked for: engines have defaults of their own."""
    options = {
        "ReadonlyRootfs": spec.read_only,
        "PortBindings": _bindings(spec),
        "Tmpfs": {folder.path: _tmpfs(folder) for folder in spec.tmpfs},
        "ShmSize": spec.shm_bytes,
        "Ulimits": [{"Name": ulimit.name, "Soft": ulimit.soft, "Hard": ulimit.hard} for ulimit in spec.ulimits],
        "Sysctls": dict(spec.sysctls),
        "ExtraHosts": [f"{name}:{address}" for name, address in spec.extra_hosts],
        "MemoryReservation": spec.reserved_memory_bytes,
        "CpuShares": spec.reserved_cpus and round(spec.reserved_cpus * _SHARES),
        "Devices": [_device(device) for device in spec.devices],
    }
    return {name: value for name, value in options.items() if value}


def _tmpfs(tmpfs: Tmpfs) -> str:
    size = f",size={tmpfs.size_bytes}" if tmpfs.size_bytes else ""
    return f"rw,noexec,nosuid,nodev,mode={tmpfs.mode:o}{size}"


def _capabilities(spec: ContainerSpec) -> list[str]:
    dropped = {capability(name) for name in spec.cap_drop}
    kept = [] if "ALL" in dropped else [name for name in _CAPABILITIES if name not in dropped]
    return list(dict.fromkeys([*kept, *(capability(name) for name in spec.cap_add)]))


def _exposed(spec: ContainerSpec) -> dict[str, dict[str, str]]:
    named = [f"{port}/tcp" for port in spec.ports]
    return {
        name: {}
        for name in (*named, *(f"{published_port.port}/{published_port.protocol}" for published_port in spec.published))
    }


def _bindings(spec: ContainerSpec) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in spec.published:
        place = {"HostIp": port.host_address, "HostPort": str(port.host_port)}
        bindings.setdefault(f"{port.port}/{port.protocol}", []).append(place)
    return bindings


def _device(device: Device) -> dict[str, str]:
    inside = device.inside or device.path
    return {"PathOnHost": device.path, "PathInContainer": inside, "CgroupPermissions": device.permissions}


def _health(check: HealthCommand) -> dict[str, Any]:
    return {
        "Test": ["CMD", *check.command], "Interval": round(check.interval * _NANO),
        "Timeout": round(check.timeout * _NANO), "Retries": check.retries,
        "StartPeriod": round(check.start_period * _NANO),
    }  # fmt: skip


def _check_paths(spec: ContainerSpec) -> None:
    paths = [(mounted.path, "A volume") for mounted in spec.mounts]
    paths += [(folder.path, "A folder of the machine") for folder in spec.host_folders]
    paths += [(entry.path, "A file") for entry in spec.files] + [
        (folder.path, "A folder in memory") for folder in spec.tmpfs
    ]
    for path, what in paths:
        if not path.startswith("/") or ".." in path.split("/") or set(path) & set("\0,:"):
            raise RequestRefused(f"{what} needs an absolute path inside the container, without `..`, `:` and `,`.")
    folders = [folder.path.rstrip("/") for folder in spec.host_folders]
    for path in [*(file.path for file in spec.files), *(mount.path for mount in spec.mounts)]:
        if any(path == folder or path.startswith(f"{folder}/") for folder in folders):
            raise RequestRefused(f"{path} would be put into a folder of the machine.", hint="Choose another path.")


def render_mount(mount: Mount) -> dict[str, Any]:
    """Return a mounted volume."""
    return {"Type": "volume", "Source": mount.volume, "Target": mount.path, "ReadOnly": mount.read_only}


def _folder(folder: HostFolder) -> dict[str, Any]:
    return {"Type": "bind", "Source": folder.source, "Target": folder.path, "ReadOnly": folder.read_only}


def _sealed(sealed: Sealed) -> list[dict[str, Any]]:
    """The engine must know that the volume is in use: it is mounted as a whole, and each file at its path."""
    whole = render_mount(Mount(sealed.volume, FOLDER, read_only=True))
    files = [
        {"Type": "bind", "Source": place, "Target": path, "ReadOnly": True} for path, place in sealed.places.items()
    ]
    return [whole, *files]


def _variable(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise RequestRefused("The name of an environment variable cannot be empty or hold `=`.")
    return name
