"""Judges a delivery about a push: whether it comes from the Git host, what was pushed, and which service it concerns.

Pure: the door reads the request, this package judges it. Nothing is parsed before its signature was checked.
"""

from orca.features.triggers.pushes.bodies import MAX_BODY_BYTES, parse_body, signed_content
from orca.features.triggers.pushes.changes import RefChange, name_event, read_changes
from orca.features.triggers.pushes.decisions import UNWATCHED, PushDecision, decide, leave_alone
from orca.features.triggers.pushes.deliveries import (
    REFUSED,
    has_unique_bodies,
    is_named_by_content,
    is_repeated,
    name_delivery,
    name_refusal,
    name_replay,
)
from orca.features.triggers.pushes.hosts import PROVIDER_NAMES, Provider, new_hook_secret
from orca.features.triggers.pushes.repositories import RepositoryLocation, is_same_repository, read_places
from orca.features.triggers.pushes.signatures import HeaderValues, explain_mismatch, is_signed

__all__ = [
    "MAX_BODY_BYTES",
    "PROVIDER_NAMES",
    "REFUSED",
    "UNWATCHED",
    "HeaderValues",
    "Provider",
    "PushDecision",
    "RefChange",
    "RepositoryLocation",
    "decide",
    "explain_mismatch",
    "has_unique_bodies",
    "is_named_by_content",
    "is_repeated",
    "is_same_repository",
    "is_signed",
    "leave_alone",
    "name_delivery",
    "name_event",
    "name_refusal",
    "name_replay",
    "new_hook_secret",
    "parse_body",
    "read_changes",
    "read_places",
    "signed_content",
]  # fmt: skip
