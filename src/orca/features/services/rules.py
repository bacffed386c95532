"""Rules for the names of projects and services, and for what each kind of service needs."""

import re
import shlex
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from typing import Final, Literal

from orca.features.projects.rules import network_of
from orca.sdk.builders import PUBLIC_NAMES, SECRET_NAMES, is_secret_like

Kind = Literal["web", "worker", "static"]
OwnerType = Literal["project", "service"]
"""The kind of a variable's owner."""
VARIABLE, VALUE = "variable", "value"
"""Owner type and name of a variable's secret."""
STATIC_PORT = 8080
"""Port of the file server in images of the static template."""
MAX_VARIABLES = 500
_SECRET_STARTS = (
    "sk_live_", "sk_test_", "ghp_", "gho_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "orca_pat_",
    "-----BEGIN",
)  # fmt: skip
SECRET_LIKE: Final = {"names": SECRET_NAMES.pattern, "not": PUBLIC_NAMES.pattern, "starts": _SECRET_STARTS}
"""What `looks_secret` goes by, for the page, which proposes it while a variable is typed."""
MAX_VALUE_BYTES = 65_536
_VOLUME_NAME_LIMIT = 63
_FORBIDDEN_ROOTS = ("/proc", "/sys", "/dev")
MOUNT_PATH = r"^(?!/(?:proc|sys|dev)(?:/|$))(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._-]+)+/*$"
"""The same rule as `check_mount_path`, as a pattern for the JSON Schema."""

_MADE_BY_ENGINE = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
FILE_PATH = MOUNT_PATH.replace("^", r"^(?!/etc/(?:hosts|hostname|resolv\.conf)$)").removesuffix("/*$") + "$"
"""The same rule as `check_file_path`, as a pattern for the JSON Schema."""
ENVIRONMENT_NETWORK = r"orca-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""Of the network of an environment; what a service calls a further network of its own cannot be as long."""
_ENVIRONMENT_NETWORK = re.compile(ENVIRONMENT_NETWORK)
MAX_FILES_BYTES = 131_072
"""Of all files of a service: each release and each deployment has them."""


def is_shell_name(name: str) -> bool:
    """Whether the name is valid for a shell variable and a Dockerfile ARG."""
    return name.isascii() and name.isidentifier()


def choose_volume_name(name: str, slug: str, taken: Collection[str]) -> str:
    """Return `data`; where that is taken `web-data` for the service `web`, then `web-data-2`."""
    if name not in taken:
        return name
    candidates = chain([""], (f"-{number}" for number in count(2)))
    names = (f"{slug}-{name}"[: _VOLUME_NAME_LIMIT - len(ending)] + ending for ending in candidates)
    return next(candidate for candidate in names if candidate not in taken)


@dataclass(frozen=True, slots=True)
class Listening:
    """The ports and health check of a service, as far as the rules of its kind need them."""

    ports: tuple[int, ...]
    public_ports: tuple[int, ...]
    health_type: str
    health_port: int | None


def find_kind_problems(kind: Kind, listening: Listening) -> dict[str, str]:
    """Return field -> problem for this kind; empty when there is none."""
    problems: dict[str, str] = {}
    if kind == "worker" and listening.public_ports:
        problems["ports"] = "a worker has no public ports; leave out `public`, or make it a web service"
    asks_by_network = listening.health_type in {"http", "tcp"}
    if kind == "worker" and asks_by_network and not listening.ports and listening.health_port is None:
        problems["health"] = "an HTTP or TCP check of a worker needs a port"
    return problems


def port_to_announce(public_ports: Collection[int]) -> str | None:
    """Return the value of PORT: the public port, if there is exactly one; else None."""
    return str(next(iter(public_ports))) if len(public_ports) == 1 else None


def check_mount_path(path: str) -> str:
    """Return a normalised path inside the container. Raises ValueError for an invalid or a system path."""
    parts = path.rstrip("/").split("/")
    plain = parts[0] == "" and len(parts) > 1 and all(_is_plain(part) for part in parts[1:])
    if not plain:
        raise ValueError("write an absolute path of letters, digits and . _ - such as /var/lib/data")
    joined = "/".join(parts)
    if any(joined == root or joined.startswith(root + "/") for root in _FORBIDDEN_ROOTS):
        raise ValueError("this path belongs to the system inside the container")
    return joined


def check_file_path(path: str) -> str:
    """Return the path of a file inside the container. Raises ValueError for an invalid one, or one of the system."""
    if path.endswith("/"):
        raise ValueError("write the path of a file, not of a folder")
    if check_mount_path(path) in _MADE_BY_ENGINE:
        raise ValueError("the engine makes this file itself: there are options for the hostname and further hostnames")
    return path


def find_file_problem(paths: Collection[str], folders: Collection[str]) -> str | None:
    """Return why files cannot be put at these paths, or None. `folders`: those that would hide the files."""
    for path in sorted(paths):
        inside = next((folder for folder in folders if is_below(path, folder)), None)
        if inside is not None:
            return f"{path} would be hidden by {inside}, which is a folder in memory"
        above = next((other for other in paths if other != path and is_below(path, other)), None)
        if above is not None:
            return f"{above} is a file, so {path} cannot be in it"
    return None


@dataclass(frozen=True, slots=True)
class PortOfMachine:
    """A port of the machine that leads to a port of a container."""

    host_port: int
    port: int
    protocol: Literal["tcp", "udp"]
    address: str

    def collides(self, other: "PortOfMachine") -> bool:
        """Whether not both can be open on one machine."""
        is_same = (self.host_port, self.protocol) == (other.host_port, other.protocol)
        return is_same and (self.address == other.address or not (self.address and other.address))

    @property
    def shown(self) -> str:
        """As a privilege names it."""
        return f"{self.protocol}/{self.host_port}"


def read_published(text: str) -> PortOfMachine:
    """Read `127.0.0.1:53:5353/udp`; an address of zeros is all of them."""
    places, _, protocol = text.partition("/")
    *address, host_port, port = places.split(":")
    where = "" if address in ([], ["0.0.0.0"]) else address[0]  # noqa: S104 - what people write for all addresses
    return PortOfMachine(int(host_port), int(port), "udp" if protocol == "udp" else "tcp", where)


def find_published_problem(published: Collection[str]) -> str | None:
    """Return why these ports of the machine cannot all be published, or None."""
    ports = [read_published(text) for text in published]
    for place, port in enumerate(ports):
        if any(port.collides(other) for other in ports[:place]):
            return f"the port {port.shown} of the machine is published twice"
    return None


def environment_of(network: str) -> str | None:
    """Return the id of the environment whose network this is; None for a further network of a service's own."""
    return network.removeprefix("orca-") if _ENVIRONMENT_NETWORK.fullmatch(network) else None


def engine_network(network: str, environment_id: str) -> str:
    """Return what the engine calls a further network of a service."""
    return network if environment_of(network) else f"{network_of(environment_id)}-{network}"


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder, or is in it."""
    return path == folder or path.startswith(f"{folder}/")


def _is_plain(part: str) -> bool:
    return (
        part not in {"", ".", ".."}
        and part.isascii()
        and all(character.isalnum() or character in "._-" for character in part)
    )


def find_mount_problems(mounts: Iterable[tuple[str, str]]) -> str | None:
    """Return the problem of a set of (name, path) mounts, or None: each name and each path may appear once."""
    names: set[str] = set()
    paths: set[str] = set()
    for name, path in mounts:
        if name in names:
            return f"the volume “{name}” is named twice"
        if path in paths:
            return f"two volumes cannot both be at {path}"
        names.add(name)
        paths.add(path)
    return None


_SHELL = frozenset("$;&|<>()`*?~#\\\n")


def shell_argv(command: str) -> list[str]:
    """Return the arguments of a command line, prefixed by a shell if it needs one. Pure."""
    words = command.split(None, 1)
    if words and _SHELL.isdisjoint(command) and "=" not in words[0]:
        with suppress(ValueError):
            return shlex.split(command)
    return ["/bin/sh", "-c", command]


def name_port_choices(choices: Collection[int]) -> tuple[str, str]:
    """Return the question which of several ports is for visitors, and a hint with the line of `orca.yaml` to add."""
    listed = ", ".join(map(str, list(choices)[:10]))
    first = next(iter(choices))
    hint = f"Choose one: the line `{ports_line(first)}` in orca.yaml leads visitors to {first}."
    return f"several ports could be the one for visitors: {listed}", hint


def ports_line(port: int) -> str:
    """Return the line of `orca.yaml` that leads visitors to a port."""
    return f"ports: [{{name: http, port: {port}, public: true}}]"


def looks_secret(key: str, value: str) -> bool:
    """Whether a variable is most likely a secret, by its name or by how well-known tokens and keys begin."""
    return is_secret_like(key) or value.startswith(_SECRET_STARTS)
