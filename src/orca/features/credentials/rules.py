"""Where a credential belongs: hosts of repositories and of image registries. Pure decisions."""

import ipaddress
import re
from typing import Literal

from orca.errors import BadInput

CredentialKind = Literal["ssh", "token"]
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:/@\[\]]+)(?::(?P<port>[0-9]+))?")
_AUTHORITY_LIMIT = 300
DEFAULT_PORTS: dict[str, int] = {"https": 443, "ssh": 22, "http": 80}
REGISTRY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?")
DOCKER_HUB = "docker.io"


def parse_git_host(text: str, kind: CredentialKind = "token") -> str:
    """Parse the host of a credential, `host` or `host:port`, as `write_authority` has it. Raises BadInput."""
    scheme = "ssh" if kind == "ssh" else "https"
    match = _AUTHORITY.fullmatch(text) if len(text) <= _AUTHORITY_LIMIT else None
    try:
        if match is not None:
            return write_authority(
                scheme, parse_host(match["host"]), parse_port(match["port"] or DEFAULT_PORTS[scheme])
            )
    except BadInput:
        pass
    hint = "Write it alone, as in the address: github.com, or git.example.org:8443; international names as xn--."
    raise BadInput(f"{text[:80]!r} is not the host of a repository.", hint=hint)


def write_authority(scheme: str, host: str, port: int) -> str:
    """Return host, and port if it is not the scheme's default: the form in which a credential stores its host."""
    name = f"[{host}]" if ":" in host else host
    return name if port == DEFAULT_PORTS[scheme] else f"{name}:{port}"


def parse_host(text: str) -> str:
    """Parse a host name or an address of a repository, an IPv6 address in brackets. Raises BadInput."""
    bare = text.strip("[]").lower()
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    labels = bare.split(".")
    # Some parsers read a last label of digits as an IPv4 address in another notation (decimal, octal, hex).
    numeric = re.fullmatch(r"0x[0-9a-f]*|[0-9]+", labels[-1])
    if text.startswith("[") or numeric or len(bare) > 253 or not all(map(_LABEL.fullmatch, labels)):  # noqa: PLR2004 - DNS
        hint = "International names are written in their xn-- form."
        raise BadInput(f"{text[:80]!r} is not a host name.", hint=hint)
    return bare


def parse_port(text: str | int) -> int:
    """Parse a port of a repository. Raises BadInput."""
    port = int(text)
    if not 0 < port < 1 << 16:
        raise BadInput(f"{port} is not a port.", hint="Ports are 1 to 65535.")
    return port


def names_registry(text: str) -> bool:
    """Whether the first part of an image's name is a registry by Docker's grammar, and not part of the path."""
    return text == "localhost" or "." in text or ":" in text


def is_registry_host(text: str) -> bool:
    """Whether a text is the host of a registry as images name it."""
    return names_registry(text) and REGISTRY.fullmatch(text) is not None


_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io"})


def is_login_for(host: str, registry: str) -> bool:
    """Whether a login stored for a registry's host is for this registry."""
    registry = registry.lower()
    return (DOCKER_HUB if host in _HUB_NAMES else host) == (DOCKER_HUB if registry in _HUB_NAMES else registry)
