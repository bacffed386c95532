"""How an event reads: its words, its kind, and what it says beside its object. Without IO."""

from collections.abc import Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final

from orca.events import Event
from orca.features import load_features
from orca.features.manifest import EventWords, OperationEvents


@cache
def list_kinds() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Return what can be asked for: kind -> its label, and how the types of its events begin."""
    features = load_features()
    kinds = sorted((kind for feature in features for kind in feature.event_kinds), key=attrgetter("order"))
    words = [event for feature in features for event in feature.events]
    return {kind.key: (kind.label, tuple(word.prefix for word in words if word.kind == kind.key)) for kind in kinds}


OUTCOMES: Final = ("done", "denied", "failed")

_DOORS = {"session": "in a browser", "token": "by an API token", "socket": "on the server"}


@cache
def list_operations() -> Sequence[OperationEvents]:
    """Return the kinds of operations whose events are shown as one."""
    return tuple(operation for feature in load_features() for operation in feature.operations)


def page_of(payload: Mapping[str, Any]) -> str:
    """Return the path of the operation that an event is about; empty when it is about none."""
    return next(
        (
            operation.page.format(payload[operation.id_key])
            for operation in list_operations()
            if payload.get(operation.id_key)
        ),
        "",
    )


def kind_of(event_type: str) -> str:
    """The kind an event belongs to; empty for one of none."""
    return next((kind for kind, (_, begins) in list_kinds().items() if event_type.startswith(begins)), "")


@cache
def _with_nouns() -> tuple[EventWords, ...]:
    return tuple(event for feature in load_features() for event in feature.events if event.nouns)


def title_of(event_type: str, payload: Mapping[str, Any]) -> str:
    """`DeploymentFinished` -> `Deployment finished`; of a restart `Restart finished`."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in event_type).strip()
    for known in _with_nouns():
        if event_type.startswith(known.prefix) and payload.get("kind") in known.nouns:
            words = words.replace(known.prefix.lower(), str(payload["kind"]), 1)
    return words[:1].upper() + words[1:]


def state_of(event: Event) -> tuple[str, str]:
    """How it ended: a state that is drawn, and its word."""
    if event.payload.get("state") in {"cancelled", "superseded"}:
        return str(event.payload["state"]), str(event.payload["state"]).capitalize()
    return {"done": "done", "denied": "rejected", "failed": "failed"}[event.outcome], event.outcome.capitalize()


def who_of(actor: str, via: str) -> tuple[str, str]:
    """Who did it, and through which door."""
    if via == "webhook":
        return "A push", "by a hook"
    known = {"orca": "Orca", "anonymous": "Anonymous", "local": "Command line", "instance token": "ORC_AUTH_TOKEN"}
    return known.get(actor, actor), "" if actor == "instance token" else _DOORS.get(via, "")


def detail_of(payload: Mapping[str, Any]) -> str:
    """What was done, where the object's name does not say it."""
    if "route" in payload:
        return " ".join(filter(None, (payload.get("method"), payload["route"], _in_brackets(payload.get("code")))))
    if "what" in payload:
        return f"{payload['what']}, from one {'address' if payload.get('by') == 'peer' else payload.get('by', 'place')}"
    lists = [f"{word} {', '.join(payload[key])}" for key, word in _LISTS.items() if payload.get(key)]
    if lists:
        return "; ".join(lists)
    if "branch" in payload:
        return " ".join(
            filter(None, (payload.get("provider"), payload["branch"], str(payload.get("commit") or "")[:12]))
        )
    return next((f"{word}{payload[key]}" for key, word in _WORTH.items() if payload.get(key)), "")


_LISTS = {"set": "set", "removed": "removed", "fields": "changed", "changed": "changed"}
_WORTH = {
    "problem": "", "hostname": "", "key": "", "command": "", "repository": "", "image": "", "of": "", "role": "as ",
    "reason": "",
}  # fmt: skip


def _in_brackets(text: object) -> str:
    return f"({text})" if text else ""
