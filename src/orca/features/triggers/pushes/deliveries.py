"""Names of deliveries, by which a repeated one is recognised."""

import hashlib
import re
from datetime import datetime, timedelta

from orca.features.triggers.pushes.hosts import DELIVERY_HEADERS
from orca.features.triggers.pushes.signatures import HeaderValues

REPEATED_WITHIN = timedelta(minutes=5)
"""How long the same body, without an id from the host, counts as the same delivery."""
REFUSED = "refused: "
"""Prefix of the names of refused deliveries."""
_BY_CONTENT = "sha256:"
_DELIVERY = re.compile(r"[\x21-\x7e]{1,128}")
_ID_LIMIT = 100


def name_delivery(provider: str, values: HeaderValues, digest: str, identity: str = "") -> str:
    """Return a name that repetitions of a delivery share: the host's id, else the identity or digest of the body.

    `identity`: see `read_identity`; used where the host has no header with an id.
    """
    for header in DELIVERY_HEADERS.get(provider, ()):
        given = values(header)
        if len(given) == 1 and _DELIVERY.fullmatch(given[0]):
            return given[0]
    if identity and provider != "gerrit":
        return identity[:_ID_LIMIT]
    return f"{_BY_CONTENT}{hashlib.sha256(identity.encode()).hexdigest() if identity else digest}"


def is_named_by_content(delivery: str) -> bool:
    """Whether the host sent no id, so that two pushes with the same content have the same name."""
    return delivery.startswith(_BY_CONTENT)


def has_unique_bodies(provider: str) -> bool:
    """Whether the same body under another id is a copy of the first: ids are headers, which are not signed.

    Not for GitLab, which signs the id, or nothing at all. Bitbucket Cloud's bodies have no timestamp: for a branch
    that was reset, they are compared with the state of the branch instead.
    """
    return provider != "gitlab"


def is_repeated(last_at: datetime, at: datetime, *, is_newest: bool) -> bool:
    """Whether an earlier body that arrives again without an id is the same push, and not a branch that was reset."""
    return is_newest or at - last_at < REPEATED_WITHIN


def name_refusal(reason: str) -> str:
    """Return the name of a refusal, equal for equal reasons. It has a space, so that no host's id can equal it."""
    return f"{REFUSED}{hashlib.sha256(reason.encode()).hexdigest()[:32]}"


def name_replay(push_id: str) -> str:
    """Return the name of a delivery that a user replayed."""
    return f"replay: {push_id}"
