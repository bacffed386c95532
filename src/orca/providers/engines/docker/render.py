"""Renders the Engine API's request bodies that create objects, hardened by default. Pure."""

import math
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from orca.errors import RequestRefused
from orca.providers.engines.docker.addresses import automatic_range, gateway
from orca.sdk.containers import ContainerSpec
from orca.sdk.workloads import Mount

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
_LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}


def render_container(
    spec: ContainerSpec, *, labels: Mapping[str, str], address: IPv4Address, init: bool
) -> dict[str, Any]:
    """The body of `POST /containers/create`. Ports are never published; the proxy reaches the address."""
    body: dict[str, Any] = {
        "Image": spec.image,
        "Labels": dict(labels),
        "Env": [f"{_variable(name)}={value}" for name, value in spec.env.items()],
        "ExposedPorts": {f"{port}/tcp": {} for port in spec.ports},
        "StopTimeout": math.ceil(spec.stop_grace),
        "HostConfig": _host_config(spec, init=init),
        "NetworkingConfig": {"EndpointsConfig": {spec.network: render_endpoint(address)}},
    }
    if spec.command:
        body["Cmd"] = list(spec.command)
    if spec.entrypoint:
        body["Entrypoint"] = list(spec.entrypoint)
    if spec.user:
        body["User"] = spec.user
    if spec.ignores_health:
        body["Healthcheck"] = {"Test": ["NONE"]}
    return body


def render_endpoint(address: IPv4Address) -> dict[str, Any]:
    """Return an endpoint in a network, with an address that survives restarts of container, engine and host."""
    return {"IPAMConfig": {"IPv4Address": str(address)}}


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


def _host_config(spec: ContainerSpec, *, init: bool) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": spec.network,
        "RestartPolicy": {"Name": spec.restart},
        "AutoRemove": False,
        "Init": init,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": list(_CAPABILITIES),
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": spec.pids,
        "LogConfig": {"Type": "json-file", "Config": dict(_LOG_OPTIONS)},
        "Mounts": [_mount(mount) for mount in spec.mounts],
    }
    if spec.memory_bytes:
        # Equal limits for memory and for memory plus swap disable swap: a leak ends in a visible OOM kill.
        config |= {"Memory": spec.memory_bytes, "MemorySwap": spec.memory_bytes}
    if spec.cpus:
        config["NanoCpus"] = round(spec.cpus * 1_000_000_000)
    return config


def _mount(mount: Mount) -> dict[str, Any]:
    if not mount.path.startswith("/") or ".." in mount.path.split("/"):
        raise RequestRefused("A volume needs an absolute path inside the container.")
    return {"Type": "volume", "Source": mount.volume, "Target": mount.path, "ReadOnly": mount.read_only}


def _variable(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise RequestRefused("The name of an environment variable cannot be empty or hold `=`.")
    return name
