"""What a service's options ask for beyond its containers, and whether an instance admin granted it. Pure.

Which demands are plain, need a grant or are refused is decided in `orca.sdk.privileges`; here they get the names that
people write, such as `capability:NET_ADMIN`, and the fields of the options.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, cast

from orca.features.services.errors import NotGranted
from orca.features.services.schemas.runtime import RuntimeOptions
from orca.sdk.privileges import Demands, assess
from orca.sdk.workloads import Privilege, PrivilegeName

_GRANTABLE: Final[Mapping[str, Callable[[str], Demands]]] = {
    "capability": lambda value: Demands(capabilities=(value,)),
    "device": lambda value: Demands(devices=(value,)),
    "sysctl": lambda value: Demands(sysctls=(value,)),
}
"""Those that the options of a service can ask for."""
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


def parse_privilege(text: str) -> str:
    """Return a privilege in its one spelling. Raises ValueError for one that is not needed, or that none can grant."""
    name, sign, value = text.partition(":")
    if not (sign and value and name in _GRANTABLE):
        known = ", ".join(f"{kind}:…" for kind in _GRANTABLE)
        raise ValueError(f"this is not a privilege that can be granted; known are {known}")
    found = assess(_GRANTABLE[name](value))
    if found.refused:
        raise ValueError(f"{found.refused[0]} It cannot be granted.")
    if not found.grants:
        raise ValueError(f"every service may have {value}: it needs no grant")
    return show_privilege(found.grants[0])


def read_privilege(text: str) -> Privilege:
    """Return a stored privilege."""
    name, _, value = text.partition(":")
    return Privilege(cast("PrivilegeName", name), value)


def show_privilege(privilege: Privilege) -> str:
    """Return a privilege as people write it: `device:/dev/dri`."""
    return f"{privilege.name}:{privilege.value}"


def explain_privilege(text: str) -> str:
    """Return what a stored privilege means, to follow the name of a service."""
    found = read_privilege(text)
    if found.name == "device":
        return f"uses the device {found.value} of the machine"
    if found.name == "sysctl":
        return f"sets the kernel parameter {found.value} of its own network or memory"
    return _MEANINGS.get(found.value, f"has the capability {found.value}")


def list_wanted(options: RuntimeOptions) -> list[str]:
    """Return the privileges that the options need, sorted."""
    return sorted({show_privilege(grant) for _, demands in _demands(options) for grant in assess(demands).grants})


def check_granted(options: RuntimeOptions, granted: Collection[str], service: str) -> None:
    """Raise NotGranted unless all that the options ask for is plain or granted. `service`: its slug, for the hint."""
    for field, demands in _demands(options):
        found = assess(demands)
        if found.refused:
            raise NotGranted(
                found.refused[0],
                hint="Nothing on this machine may have that, and it cannot be granted: run the service without.",
                fields={f"runtime.{field}": f"{found.refused[0]} It cannot be granted."},
            )
        missing = [text for grant in found.grants if (text := show_privilege(grant)) not in granted]
        if missing:
            names, command = ", ".join(missing), f"orc services grant {' '.join(missing)} --service {service}"
            raise NotGranted(
                f"the service asks for what it was not granted: {names}",
                hint=f"Ask an instance admin to run `{command}`, or run the service without.",
                fields={f"runtime.{field}": f"{names} was not granted; an instance admin does that: `{command}`"},
            )


def _demands(options: RuntimeOptions) -> Iterator[tuple[str, Demands]]:
    yield "cap_add", Demands(capabilities=tuple(options.cap_add))
    yield "devices", Demands(devices=tuple(options.devices))
    yield "sysctls", Demands(sysctls=tuple(options.sysctls))
