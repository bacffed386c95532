"""What a service's options ask for beyond its containers, and whether an instance admin granted it. Pure.

Which demands are plain, need a grant or are refused is decided in `orca.sdk.privileges`; here they get the names that
people write, such as `capability:NET_ADMIN`, and the fields of the options.
"""

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, cast

from orca.features.services import rules
from orca.features.services.errors import NotGranted
from orca.features.services.schemas.runtime import RuntimeOptions
from orca.sdk.privileges import Assessment, Demands, assess
from orca.sdk.workloads import Privilege, PrivilegeName, PublishedPort

_GRANTABLE: Final[Mapping[str, Callable[[str], Demands]]] = {
    "capability": lambda value: Demands(capabilities=(value,)),
    "device": lambda value: Demands(devices=(value,)),
    "sysctl": lambda value: Demands(sysctls=(value,)),
    "network": lambda value: Demands(networks=(_check(value, _NETWORK),)),
    "host.network": lambda _value: Demands(namespaces={"network": "host"}),
    "host.port": lambda value: Demands(published=(_read_port(_check(value, _PORT)),)),
    "host.path": lambda value: Demands(host_paths=(_check(value, _PATH),)),
}
"""Those that the options of a service can ask for."""
_WITHOUT_VALUE: Final = {"host.network"}
_NETWORK: Final[re.Pattern[str]] = re.compile(rules.ENVIRONMENT_NETWORK)
_PORT: Final[re.Pattern[str]] = re.compile(r"(?:tcp|udp)/[1-9][0-9]{0,4}")
_PATH: Final[re.Pattern[str]] = re.compile(r"/[A-Za-z0-9._/@ +-]{0,254}")
_LAST_PORT: Final = 65_535
_FORMS: Final = "network:orca-<id of an environment>, host.port:udp/53, host.path:/srv/media"
_MEANINGS: Final = {
    "AUDIT_WRITE": "may write to the audit log of the machine",
    "FSETID": "keeps the set-user-id mark of files that it changes",
    "IPC_LOCK": "may keep memory from being swapped out",
    "IPC_OWNER": "may use the shared memory of all users of its container",
    "LEASE": "may hold leases on files",
    "MKNOD": "may make device files",
    "NET_ADMIN": "may change interfaces, routes and packet filters of its own network",
    "NET_BROADCAST": "may send broadcasts in its networks",
    "NET_RAW": "may send forged packets in its networks",
    "SETFCAP": "may set capabilities of files",
    "SETPCAP": "may change the capabilities of its processes",
    "SYS_CHROOT": "may change the root folder of its processes",
    "SYS_NICE": "may run before the processes of others",
    "SYS_RESOURCE": "may exceed the limits of resources",
    "SYS_TIME": "may set the clock of the whole machine",
    "WAKE_ALARM": "may wake the machine",
}

_MEANINGS_OF_KINDS: Final = {
    "device": "uses the device {} of the machine",
    "sysctl": "sets the kernel parameter {} of its own network or memory",
    "network": "is in the network {} of another environment: it reaches its services, and they reach it",
    "host.network": "uses the network of the machine: it reaches loopback there, and opens any port",
    "host.port": "opens the port {} of the machine, past the proxy: there is no TLS, log or limit of Orca's",
    "host.path": "reads and writes {} of the machine, with all that is in it",
}


def parse_privilege(text: str) -> str:
    """Return a privilege in its one spelling. Raises ValueError for one that is not needed, or that none can grant."""
    name, _, value = text.partition(":")
    if name not in _GRANTABLE or (not value) != (name in _WITHOUT_VALUE) or text.endswith(":"):
        known = ", ".join(kind if kind in _WITHOUT_VALUE else f"{kind}:…" for kind in _GRANTABLE)
        raise ValueError(f"this is not a privilege that can be granted; known are {known}")
    found = _assess(_GRANTABLE[name](value))
    if found.refused:
        raise ValueError(f"{found.refused[0]} It cannot be granted.")
    if not found.grants:
        raise ValueError(f"every service may have {value}: it needs no grant")
    return str(found.grants[0])


def find_own_place(text: str, ports: Collection[int], folders: Collection[str]) -> str | None:
    """Return why a privilege is for a port or a folder that is Orca's own, or None."""
    found = read_privilege(text)
    if found.name == "host.port" and int(found.value.partition("/")[2]) in ports:
        return f"the port {found.value} of the machine is Orca's own; it cannot be granted"
    if found.name == "host.path" and assess(Demands(host_paths=(found.value,)), private_paths=folders).refused:
        return f"{found.value} holds what is Orca's own; it cannot be granted"
    return None


def read_privilege(text: str) -> Privilege:
    """Return a stored privilege."""
    name, _, value = text.partition(":")
    return Privilege(cast("PrivilegeName", name), value)


def explain_privilege(text: str) -> str:
    """Return what a stored privilege means, to follow the name of a service."""
    found = read_privilege(text)
    if found.name in _MEANINGS_OF_KINDS:
        return _MEANINGS_OF_KINDS[found.name].format(found.value)
    return _MEANINGS.get(found.value, f"has the capability {found.value}")


def list_wanted(options: RuntimeOptions) -> list[str]:
    """Return the privileges that the options need, sorted."""
    return sorted({str(grant) for _, demands in _demands(options) for grant in _assess(demands).grants})


def check_granted(options: RuntimeOptions, granted: Collection[str], service: str) -> None:
    """Raise NotGranted unless all that the options ask for is plain or granted. `service`: its slug, for the hint."""
    for field, demands in _demands(options):
        found = _assess(demands)
        if found.refused:
            raise NotGranted(
                found.refused[0],
                hint="Nothing on this machine may have that, and it cannot be granted: run the service without.",
                fields={f"runtime.{field}": f"{found.refused[0]} It cannot be granted."},
            )
        missing = [text for grant in found.grants if (text := str(grant)) not in granted]
        if missing:
            names, command = ", ".join(missing), f"orc services grant {' '.join(missing)} --service {service}"
            raise NotGranted(
                f"the service asks for what it was not granted: {names}",
                hint=f"Ask an instance admin to run `{command}`, or run the service without.",
                fields={f"runtime.{field}": f"{names} was not granted; an instance admin does that: `{command}`"},
            )


def _assess(demands: Demands) -> Assessment:
    """Assess demands; the engine's socket, which the contract has a grant for, is granted to no service."""
    found = assess(demands)
    if any(grant.name == "host.engine_socket" for grant in found.grants):
        return Assessment(refused=("Who has the engine's socket is root on the machine.",))
    return found


def _demands(options: RuntimeOptions) -> Iterator[tuple[str, Demands]]:
    yield "cap_add", Demands(capabilities=tuple(options.cap_add))
    yield "devices", Demands(devices=tuple(options.devices))
    yield "sysctls", Demands(sysctls=tuple(options.sysctls))
    yield "networks", Demands(networks=tuple(filter(rules.environment_of, options.networks)))
    yield "host_network", Demands(namespaces={"network": "host"} if options.host_network else {})
    yield "published", Demands(published=tuple(map(published_port, options.published)))
    yield "host_folders", Demands(host_paths=tuple(map(host_path, options.host_folders.values())))


def published_port(text: str) -> PublishedPort:
    """Return a published port as engines take it."""
    read = rules.read_published(text)
    return PublishedPort(read.port, read.host_port, read.protocol, read.address)


def host_path(text: str) -> str:
    """Return the path of a folder of the machine in its one spelling, without `:ro`."""
    return "/" + posixpath.normpath(text.removesuffix(":ro")).lstrip("/")


def _check(value: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"this is not a privilege that can be granted; write {_FORMS}")
    return value


def _read_port(value: str) -> PublishedPort:
    protocol, _, number = value.partition("/")
    if int(number) > _LAST_PORT:
        raise ValueError(f"this is not a privilege that can be granted; the last port is {_LAST_PORT}")
    return PublishedPort(int(number), int(number), "udp" if protocol == "udp" else "tcp")
