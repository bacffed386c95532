"""The environment of each git process, in which a hostile repository or server cannot access anything.

Everything is set explicitly, because git otherwise reads the machine's configuration, the home directory, netrc
and the SSH agent. Pure: `render_*` return texts and mappings.
"""

import base64
import binascii
import hashlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from orca.errors import BadInput
from orca.features.sources.rules import RepoUrl

PINNED_HOST = "orca-pinned-host"
"""The host name under which ssh finds the trusted keys of the pinned host."""
_FIXED = {
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "credential.helper": "",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}
"""Git configuration for every repository: no hooks, no helpers, no redirects, no housekeeping."""


def render_git_environment(
    url: RepoUrl, address: str, home: Path, *, authorization: str | None = None, ca_file: Path | None = None
) -> dict[str, str]:
    """Environment of a git process that talks to `url` at `address`. `home` is a private directory.

    `authorization` is the value of an HTTP header. It travels in the environment, bound to the origin of `url`.
    """
    settings = {"protocol.allow": "never", f"protocol.{url.scheme}.allow": "always", **_FIXED}
    if url.scheme != "ssh" and ":" not in url.host:
        bracketed = f"[{address}]" if ":" in address else address
        settings["http.curloptResolve"] = f"{url.host}:{url.port}:{bracketed}"
    if authorization:
        settings[f"http.{url.origin}/.extraHeader"] = f"Authorization: {authorization}"
    if ca_file:
        settings["http.sslCAInfo"] = str(ca_file)
    return {
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": ":".join(dict.fromkeys(("https", "ssh", url.scheme))),
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_VARIANT": "ssh",
        # Git passes this to a shell; it only contains our own file name, which is quoted.
        "GIT_SSH_COMMAND": shlex.join(["ssh", "-F", str(home / "ssh_config")]),
        **_as_variables(settings),
    }


def _as_variables(settings: Mapping[str, str]) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def render_authorization(username: str, token: str) -> str:
    """Return the HTTP Basic header value, which every Git host accepts for tokens."""
    if any(char in username + token for char in "\r\n\0") or ":" in username:
        raise BadInput("The token or its user name holds characters that no token has.", hint="Paste the token again.")
    return "Basic " + base64.b64encode(f"{username}:{token}".encode()).decode()


def render_ssh_config(address: str, home: Path) -> str:
    """Return the whole configuration of ssh: one pinned address, one key, one set of trusted host keys."""
    key, known_hosts = (str(home / name).replace("%", "%%") for name in ("key", "known_hosts"))
    return "\n".join(
        [
            "Host *",
            f"HostName {address}",
            f"HostKeyAlias {PINNED_HOST}",
            f'UserKnownHostsFile "{known_hosts}"',
            "GlobalKnownHostsFile /dev/null",
            "StrictHostKeyChecking yes",
            "UpdateHostKeys no",
            f'IdentityFile "{key}"',
            "IdentitiesOnly yes",
            "IdentityAgent none",
            "BatchMode yes",
            "PreferredAuthentications publickey",
            "ControlMaster no",
            "ControlPath none",
            "ForwardAgent no",
            "ClearAllForwardings yes",
            "PermitLocalCommand no",
            "ProxyCommand none",
            "ConnectTimeout 15",
            "ServerAliveInterval 15",
            "",
        ]
    )


def find_host_keys(known_hosts: str, url: RepoUrl) -> list[str]:
    """Return the keys (`type base64`) that known_hosts lines have for the host of `url`."""
    names = {f"[{url.host}]:{url.port}"} | ({url.host} if url.port == 22 else set())  # noqa: PLR2004 - ssh's own port
    keys = []
    for line in known_hosts.splitlines():
        fields = line.split()
        if len(fields) >= 3 and names & set(fields[0].lower().split(",")):  # noqa: PLR2004 - hosts, type, key
            keys.append(f"{fields[1]} {fields[2]}")
    return keys


def render_known_hosts(keys: Iterable[str], name: str = PINNED_HOST) -> str:
    """known_hosts lines for keys written as `type base64`."""
    return "".join(f"{name} {key}\n" for key in keys)


def fingerprint(key: str) -> str:
    """`ssh-ed25519 SHA256:…`, as ssh shows it, of a key written as `type base64`."""
    kind, _, body = key.partition(" ")
    try:
        digest = hashlib.sha256(base64.b64decode(body, validate=True)).digest()
    except binascii.Error:
        return kind
    return f"{kind} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
