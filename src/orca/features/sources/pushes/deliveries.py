"""Names of deliveries: by them a repeated one is recognised."""

import hashlib
import re
from datetime import datetime, timedelta

from orca.features.sources.pushes.hosts import DELIVERY_HEADERS
from orca.features.sources.pushes.signatures import HeaderValues

REPEATED_WITHIN = timedelta(minutes=5)
"""For how long the same body, without an id of the host's, counts as the same delivery."""
REFUSED = "refused: "
"""Begins the names of refused deliveries."""
_BY_CONTENT = "sha256:"
_DELIVERY = re.compile(r"[\x21-\x7e]{1,128}")
_ID_LIMIT = 100


def name_delivery(provider: str, values: HeaderValues, digest: str, identity: str = "") -> str:
    """What a repeated delivery has in common with its first: the host's id for it, else the body itself.

    `identity`: what the body says of the same thing twice, where the host has no header for that.
    """
    for header in DELIVERY_HEADERS.get(provider, ()):
        given = values(header)
        if len(given) == 1 and _DELIVERY.fullmatch(given[0]):
            return given[0]
    if identity and provider != "gerrit":
        return identity[:_ID_LIMIT]
    return f"{_BY_CONTENT}{hashlib.sha256(identity.encode()).hexdigest() if identity else digest}"


def is_named_by_content(delivery: str) -> bool:
    """Whether the host gave no id, so that two pushes of the same state have one name."""
    return delivery.startswith(_BY_CONTENT)


def has_unique_bodies(provider: str) -> bool:
    """Whether the same body under another id is a copy of the first: ids are headers, which are not signed.

    GitLab signs the id, or nothing at all. Bitbucket Cloud's bodies hold no time: what sets a branch back and forth
    is compared with the state of the branch instead.
    """
    return provider != "gitlab"


def is_repeated(last_at: datetime, at: datetime, *, is_newest: bool) -> bool:
    """Whether a body that came before, without an id, is the same push again, and not a branch that was set back."""
    return is_newest or at - last_at < REPEATED_WITHIN


def name_refusal(reason: str) -> str:
    """What repeated refusals have in common. Holds a space, so that no host's id for a delivery is the same."""
    return f"{REFUSED}{hashlib.sha256(reason.encode()).hexdigest()[:32]}"


def name_replay(push_id: str) -> str:
    """The name of a delivery that a person sent through the hook once more."""
    return f"replay: {push_id}"
