"""Who may do what: permissions, roles, and the scopes and format of API tokens."""

import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

PERMISSIONS: dict[str, str] = {
    "certificate.create": "Upload a certificate with its private key.",
    "certificate.delete": "Remove an uploaded certificate.",
    "certificate.read": "See certificates, their names and when they expire.",
    "deployment.cancel": "Stop a deployment that waits or runs.",
    "deployment.read": "See deployments, releases and their logs.",
    "event.read": "See what happened in the team, and who did it.",
    "instance.admin": "Look after the instance: verify the audit trail, see events of no team, decide about orphans.",
    "metrics.read": "Read the numbers of this instance for Prometheus.",
    "project.create": "Make a project.",
    "project.delete": "Delete a project that has no services left.",
    "project.read": "See projects.",
    "project.update": "Rename a project and change its description.",
    "route.create": "Give a service a hostname.",
    "route.delete": "Take a hostname from a service.",
    "route.read": "See hostnames and how they are served.",
    "route.update": "Change how a hostname is served.",
    "service.create": "Make a service.",
    "service.delete": "Delete a service.",
    "service.deploy": "Build and deploy a service, and roll it back.",
    "service.operate": "Start, stop, restart and scale a service.",
    "service.read": "See services, their state and the output of their processes.",
    "service.run": "Run a one-off command inside a service.",
    "service.update": "Change how a service is built and run.",
    "source.create": "Store credentials for repositories and registries, and make push hooks.",
    "source.delete": "Remove stored credentials and push hooks.",
    "source.read": "See which credentials and push hooks there are, never their secrets.",
    "source.update": "Change stored credentials and push hooks.",
    "token.create": "Make an API token of one's own.",
    "token.manage": "See and revoke the API tokens of everybody in the team.",
    "token.read": "See one's own API tokens, never their secrets.",
    "token.revoke": "Revoke one's own API tokens.",
    "variable.read": "See the variables of projects and services; secret ones without their value.",
    "variable.reveal": "Read the value of a secret variable.",
    "variable.write": "Set and remove variables.",
    "volume.create": "Add a volume to a service.",
    "volume.delete": "Delete a volume and the data in it.",
    "volume.read": "See volumes.",
    "volume.update": "Attach, detach and rename volumes.",
}
"""Every permission and what it lets one do."""

INSTANCE_PERMISSIONS = frozenset(name for name in PERMISSIONS if name.startswith("instance."))
"""Not of any role: they come with being an instance admin."""
_VIEWER = frozenset(
    {
        "certificate.read", "deployment.read", "event.read", "project.read", "route.read", "service.read",
        "source.read", "token.create", "token.read", "token.revoke", "variable.read", "volume.read",
    }
)  # fmt: skip
_MEMBER = _VIEWER | {
    "deployment.cancel", "route.create", "route.delete", "route.update", "service.create", "service.deploy",
    "service.operate", "service.run", "service.update", "variable.write", "volume.create", "volume.update",
}  # fmt: skip
_OWNER = frozenset(PERMISSIONS) - INSTANCE_PERMISSIONS

ROLES: dict[str, frozenset[str]] = {"owner": _OWNER, "admin": _OWNER, "member": _MEMBER, "viewer": _VIEWER}
"""Role -> permissions in the team. Admins differ from owners in that they cannot make or unmake owners."""

EVERYTHING = "*"
"""The scope that stands for whatever its user may do."""
MAX_TOKEN_DAYS = 365


def permissions_of(role: str, *, is_instance_admin: bool) -> frozenset[str]:
    """What somebody with this role may do; nothing when there is no such role."""
    return ROLES.get(role, frozenset()) | (INSTANCE_PERMISSIONS if is_instance_admin else frozenset())


def limit_to_scopes(permissions: frozenset[str], scopes: Collection[str]) -> frozenset[str]:
    """What a token may do: its scopes, cut down to what its user may do at this moment."""
    return permissions if EVERYTHING in scopes else permissions & frozenset(scopes)


def scopes_beyond(scopes: Collection[str], permissions: frozenset[str]) -> list[str]:
    """The scopes that somebody with these permissions cannot pass on."""
    return sorted(set(scopes) - permissions - {EVERYTHING})


TOKEN_PREFIX = "orca_pat_"  # noqa: S105 - the public prefix that secret scanners look for
_TOKEN = re.compile(r"(orca_pat_([0-9a-f]{32})_([A-Za-z0-9_-]{43}))_([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """The row an API token names, and the secret that proves it."""

    token_id: str
    secret: str


def make_token(token_id: str, secret: str) -> str:
    """`orca_pat_<id>_<43 characters>_<crc32>`: recognisable, and a typo is seen without asking the database."""
    body = f"{TOKEN_PREFIX}{UUID(token_id).hex}_{secret}"
    return f"{body}_{zlib.crc32(body.encode()):08x}"


def parse_token(text: str) -> ParsedToken | None:
    """The parts of a well-formed token, or None."""
    match = _TOKEN.fullmatch(text)
    if match is None or f"{zlib.crc32(match[1].encode()):08x}" != match[4]:
        return None
    return ParsedToken(str(UUID(hex=match[2])), match[3])
