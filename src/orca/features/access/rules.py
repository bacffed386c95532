"""Rules of authorisation: roles, and the scopes and format of API tokens."""

import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from orca.features.manifest import Permission

Role = Literal["owner", "admin", "member", "viewer", "guest"]
GrantRole = Literal["admin", "member", "viewer"]
GUEST: Role = "guest"
"""The role in a team of those who have grants on parts of it only: they look after API tokens of their own."""


def build_roles(permissions: Collection[Permission]) -> dict[str, frozenset[str]]:
    """Role -> permissions in the team: each has those of the lesser ones, and none has those of instance admins."""
    least = {
        role: frozenset(permission.name for permission in permissions if permission.role == role)
        for role in ("owner", "member", "viewer", "guest")
    }
    guest = least["guest"]
    viewer = guest | least["viewer"]
    member = viewer | least["member"]
    owner = member | least["owner"]
    return {"owner": owner, "admin": owner, "member": member, "viewer": viewer, "guest": guest}


EVERYTHING = "*"
"""The scope that stands for all permissions of the token's user."""
MAX_TOKEN_DAYS = 365
MAX_SCOPES = 100
"""More than there are permissions."""


def limit_to_scopes(permissions: frozenset[str], scopes: Collection[str]) -> frozenset[str]:
    """Return the permissions of a token: its scopes, limited to the present permissions of its user."""
    return permissions if EVERYTHING in scopes else permissions & frozenset(scopes)


def scopes_beyond(scopes: Collection[str], permissions: frozenset[str]) -> list[str]:
    """Return the scopes that exceed these permissions, so that a token with them may not be created."""
    return sorted(set(scopes) - permissions - {EVERYTHING})


TOKEN_PREFIX = "orca_pat_"  # noqa: S105 - the public prefix that secret scanners look for
_TOKEN = re.compile(r"(orca_pat_([0-9a-f]{32})_([A-Za-z0-9_-]{43}))_([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """The row id in an API token, and its secret."""

    token_id: str
    secret: str


def make_token(token_id: str, secret: str) -> str:
    """Return `orca_pat_<id>_<43 characters>_<crc32>`: recognisable, and typos are found without the database."""
    body = f"{TOKEN_PREFIX}{UUID(token_id).hex}_{secret}"
    return f"{body}_{zlib.crc32(body.encode()):08x}"


def parse_token(text: str) -> ParsedToken | None:
    """Return the parts of a well-formed token, or None."""
    match = _TOKEN.fullmatch(text)
    if match is None or f"{zlib.crc32(match[1].encode()):08x}" != match[4]:
        return None
    return ParsedToken(str(UUID(hex=match[2])), match[3])
